import type { DescMessage, Message } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Database, EntityManager } from '@tradewind/database/database';
import { redriveTopic } from './contract.ts';
import { deadLetterOf, type GivingUp, type Origin, originOf, placeOf } from './dead-letter.ts';
import { contextOf, decodeEvent, type EventContext } from './event.ts';
import { claim } from './inbox.ts';
import type { ReceivedRecord } from './log.ts';
import { Facts } from './outbox.ts';
import type { EventHandler, Subscription, WorkingSet } from './subscription.ts';

/** A record on its way through a group: decoded, or known to be dead. */
export interface Incoming {
  readonly context: EventContext;
  /** It is a dead letter that comes back. */
  readonly redriven: boolean;
  /** Where the group got it from first. */
  readonly origin: Origin;
  /** The topic whose handler it is for. */
  readonly topic: string;
  readonly event:
    | { readonly message: Message; readonly handler: EventHandler<DescMessage, WorkingSet> }
    | undefined;
  /** Set when it never gets better. */
  readonly verdict: GivingUp | undefined;
}

/** What a batch was worth. */
export interface BatchOutcome {
  readonly handled: number;
  /** Seen before, so left alone. */
  readonly duplicates: number;
  /** Given up on. */
  readonly dead: readonly (readonly [Incoming, GivingUp])[];
  readonly told: number;
}

/** Settles batches of one group: inbox, state, facts and dead letters of a batch in one transaction. */
export interface Batches {
  decode(record: ReceivedRecord): Incoming;
  settle(batch: readonly Incoming[]): Promise<BatchOutcome>;
  /** Gives up on one record: its dead letter and its inbox row, in one transaction. */
  giveUp(incoming: Incoming, why: GivingUp): Promise<BatchOutcome>;
}

export interface BatchesOptions {
  readonly group: string;
  readonly logId: string;
  readonly database: Pick<Database, 'transaction'>;
  readonly subscriptions: readonly Subscription[];
  readonly clock: () => Date;
}

const HOPELESS = new Set([
  Code.InvalidArgument,
  Code.FailedPrecondition,
  Code.OutOfRange,
  Code.Unimplemented,
]);

/** Whether trying again can't help, read from the error's code. */
export function isHopeless(error: unknown): boolean {
  return error instanceof ConnectError && HOPELESS.has(error.code);
}

export function openBatches({ group, logId, database, subscriptions, clock }: BatchesOptions): Batches {
  const byTopic = new Map(subscriptions.map((subscription) => [subscription.topic, subscription]));
  const dead = (error: string): GivingUp => {
    const now = clock();
    return { reason: 'undecodable', error, attempts: 1, firstFailure: now, lastFailure: now };
  };
  const bury = async (em: EntityManager, batch: readonly (readonly [Incoming, GivingUp])[], facts: Facts) => {
    const claimed = new Set(
      await claim(
        em,
        group,
        batch.map(([incoming]) => incoming),
        'dead',
      ),
    );
    const buried = batch.filter(([incoming]) => claimed.has(incoming));
    for (const [incoming, why] of buried)
      facts.add(deadLetterOf(group, incoming.context, incoming.origin, why));
    return buried;
  };
  return {
    decode(record) {
      const context = contextOf(record, logId);
      const redriven = record.topic === redriveTopic(group) ? originOf(record) : undefined;
      // What names a topic that the group does not hear never was a dead letter of its own.
      const first = redriven && byTopic.has(redriven.topic) ? redriven : undefined;
      const origin = first ?? placeOf(record);
      const { topic } = origin;
      const base = { context, redriven: first !== undefined, origin, topic };
      const subscription = byTopic.get(topic);
      if (!subscription)
        return { ...base, event: undefined, verdict: dead(`${group} has no handler for ${topic}`) };
      try {
        const message = decodeEvent(subscription.schema, record);
        return { ...base, event: { message, handler: subscription.handler }, verdict: undefined };
      } catch (error) {
        return {
          ...base,
          event: undefined,
          verdict: dead(error instanceof ConnectError ? error.rawMessage : String(error)),
        };
      }
    },
    settle: (batch) =>
      database.transaction(async (em) => {
        const facts = new Facts(group);
        const letters = batch.flatMap((incoming) =>
          incoming.verdict ? [[incoming, incoming.verdict] as const] : [],
        );
        const events = batch.filter(({ event }) => event !== undefined);
        const fresh = await claim(em, group, events, 'done');
        const buried = letters.length > 0 ? await bury(em, letters, facts) : [];
        await handle(em, fresh, facts);
        const told = facts.size;
        await facts.save(em);
        return {
          handled: fresh.length,
          duplicates: batch.length - fresh.length - buried.length,
          dead: buried,
          told,
        };
      }),
    giveUp: (incoming, why) =>
      database.transaction(async (em) => {
        const facts = new Facts(group);
        const buried = await bury(em, [[incoming, why]], facts);
        await facts.save(em);
        return { handled: 0, duplicates: 1 - buried.length, dead: buried, told: buried.length };
      }),
  };
}

/** Loads the rows of each kind once, applies the events in log order, writes the rows. */
async function handle(em: EntityManager, fresh: readonly Incoming[], facts: Facts): Promise<void> {
  const byLoad = new Map<EventHandler<DescMessage, WorkingSet>['load'], Incoming[]>();
  for (const incoming of fresh) {
    if (!incoming.event) continue;
    const { load } = incoming.event.handler;
    const together = byLoad.get(load);
    if (together) together.push(incoming);
    else byLoad.set(load, [incoming]);
  }
  for (const [load, together] of byLoad) {
    const messages = together.flatMap(({ event }) => event?.message ?? []);
    const rows = await load(messages, em);
    for (const { event, context } of together) {
      event?.handler.apply(
        event.message,
        rows,
        (schema, fact) => facts.publish(schema, fact, context),
        context,
      );
    }
    await rows.save(em);
  }
}
