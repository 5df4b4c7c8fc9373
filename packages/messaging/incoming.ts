import type { DescMessage, Message } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { redriveTopic } from './contract.ts';
import { type GivingUp, isDiscard, type Origin, originOf, placeOf } from './dead-letter.ts';
import { contextOf, decodeEvent, type EventContext } from './event.ts';
import type { ReceivedRecord } from './log.ts';
import type { EventHandler, Subscription, WorkingSet } from './subscription.ts';

/** A record whose event is known by name; its value was not looked into. */
export interface Identified {
  readonly context: EventContext;
  /** It is a dead letter that comes back. */
  readonly redriven: boolean;
  /** It says that nobody will redrive that dead letter. */
  readonly discards: boolean;
  /** Where the group got it from first. */
  readonly origin: Origin;
  /** The topic whose handler it is for. */
  readonly topic: string;
}

/** A record on its way through a group: decoded, or known to be dead. */
export interface Incoming extends Identified {
  readonly event:
    | { readonly message: Message; readonly handler: EventHandler<DescMessage, WorkingSet> }
    | undefined;
  /** Set when it never gets better. */
  readonly verdict: GivingUp | undefined;
}

/** The name of an event that was given one before: an event of a foreign producer takes part of its own from the log, which may change. */
export interface EventIdentity {
  readonly source: string;
  readonly id: string;
}

/** Reads the records of one group. Never throws. */
export interface Decode {
  (record: ReceivedRecord, identity?: EventIdentity): Incoming;
  /** All but the value, which may be what kills. */
  identify(record: ReceivedRecord, identity?: EventIdentity): Identified;
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

export interface DecoderOptions {
  readonly group: string;
  readonly logId: string;
  readonly subscriptions: readonly Subscription[];
  readonly clock: () => Date;
}

export function decoder({ group, logId, subscriptions, clock }: DecoderOptions): Decode {
  const byTopic = new Map(subscriptions.map((subscription) => [subscription.topic, subscription]));
  const dead = (error: string): GivingUp => {
    const now = clock();
    return { reason: 'undecodable', error, attempts: 1, firstFailure: now, lastFailure: now };
  };
  const identify = (record: ReceivedRecord, identity?: EventIdentity): Identified => {
    const context = contextOf(record, logId);
    const redriven = record.topic === redriveTopic(group) ? originOf(record) : undefined;
    // What names a topic that the group does not hear never was a dead letter of its own.
    const first = redriven && byTopic.has(redriven.topic) ? redriven : undefined;
    const origin = first ?? placeOf(record);
    return {
      context: identity ? { ...context, source: identity.source, id: identity.id } : context,
      redriven: first !== undefined,
      // Also of a record that never was a dead letter: it was given up on, and somebody is to be able to say so.
      discards: redriven !== undefined && isDiscard(record),
      origin,
      topic: origin.topic,
    };
  };
  const decode = (record: ReceivedRecord, identity?: EventIdentity): Incoming => {
    const known = identify(record, identity);
    if (known.discards) return { ...known, event: undefined, verdict: undefined };
    const subscription = byTopic.get(known.topic);
    if (!subscription)
      return { ...known, event: undefined, verdict: dead(`${group} has no handler for ${known.topic}`) };
    try {
      const message = decodeEvent(subscription.schema, record);
      return { ...known, event: { message, handler: subscription.handler }, verdict: undefined };
    } catch (error) {
      const why = error instanceof ConnectError ? error.rawMessage : String(error);
      return { ...known, event: undefined, verdict: dead(why) };
    }
  };
  return Object.assign(decode, { identify });
}
