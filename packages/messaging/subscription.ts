import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import type { EntityManager } from '@tradewind/database/database';
import { topicOf } from './contract.ts';
import type { EventContext } from './event.ts';
import type { Publish } from './outbox.ts';

/** The rows that a batch of events works on: locked by `load`, changed in memory by `apply`, written by `save`. */
export interface WorkingSet {
  /** Writes what changed, each table by one statement. */
  save(em: EntityManager): Promise<void>;
}

/**
 * Handles the events of one topic, a batch a transaction. Nothing here touches anything but that transaction: an effect outside
 * is a fact of its own.
 */
export interface EventHandler<Desc extends DescMessage, Loaded extends WorkingSet> {
  /** Locks the rows that the batch needs, in id order. Handlers with the same `load` share its rows and keep the log's order. */
  readonly load: (events: readonly MessageShape<Desc>[], em: EntityManager) => Promise<Loaded>;
  /**
   * One event, in log order, on the rows as earlier events of the batch left them. It may run again after a fault, always on rows
   * that were loaded anew.
   * @throws ConnectError whose code says whether trying again can help: INVALID_ARGUMENT, FAILED_PRECONDITION, OUT_OF_RANGE and
   * UNIMPLEMENTED go to the dead letters at once, everything else is retried first.
   */
  readonly apply: (event: MessageShape<Desc>, rows: Loaded, publish: Publish, context: EventContext) => void;
}

/** One line of a service's table of contents: which handler hears which topic. */
export interface Subscription {
  readonly topic: string;
  readonly schema: DescMessage;
  readonly handler: EventHandler<DescMessage, WorkingSet>;
}

/** Subscribes a handler to the topic of an event. */
export function on<Desc extends DescMessage, Loaded extends WorkingSet>(
  schema: Desc,
  handler: EventHandler<Desc, Loaded>,
): Subscription {
  // Inside a subscription the pair (schema, handler) belongs together; a list of them can't say so in types.
  return {
    topic: topicOf(schema).name,
    schema,
    handler: handler as unknown as EventHandler<DescMessage, WorkingSet>,
  };
}
