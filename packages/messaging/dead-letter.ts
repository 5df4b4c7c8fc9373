import { deadLetterTopic, redriveTopic } from './contract.ts';
import { type EventContext, type Fact, JSON_TYPE, storable } from './event.ts';
import { telling } from './fact-spans.ts';
import type { LogRecord, ReceivedRecord } from './log.ts';
import { uniqueId } from './unique-id.ts';

/** Why a group gave up on a record. */
export interface GivingUp {
  /**
   * `undecodable`: its bytes never fit the contract; `rejected`: the handler said that it never will; `failed`: after all attempts;
   * `deadly`: its process died of it again and again.
   */
  readonly reason: 'undecodable' | 'rejected' | 'failed' | 'deadly';
  /** The error's text, in one line. */
  readonly error: string;
  readonly attempts: number;
  readonly firstFailure: Date;
  readonly lastFailure: Date;
}

const MAX_ERROR_LENGTH = 1_000;
const PREFIX = 'dlq_';
const ACTION = `${PREFIX}action`;
const DISCARD = 'discard';

/** Where a record came from before anybody gave up on it; a redriven one keeps its first origin. */
export interface Origin {
  readonly topic: string;
  readonly partition: string;
  readonly offset: string;
}

/** Where a record lies. */
export function placeOf({ topic, partition, offset }: ReceivedRecord): Origin {
  return { topic, partition: String(partition), offset: String(offset) };
}

/** Reads a redriven record's origin from its headers; undefined when it has none. */
export function originOf({ headers }: LogRecord): Origin | undefined {
  const { dlq_origin_topic: topic, dlq_origin_partition: partition, dlq_origin_offset: offset } = headers;
  return topic !== undefined ? { topic, partition: partition ?? '', offset: offset ?? '' } : undefined;
}

/**
 * The dead letter as a row of the outbox: the record as it was, value, key and headers, and beside them why it is dead. Whatever a
 * producer wrote can be stored, or the record could never be given up.
 * @param origin where the group got it from first
 */
export function deadLetterOf(
  group: string,
  { id, source, record, traceparent, tracestate }: EventContext,
  origin: Origin,
  why: GivingUp,
): Fact {
  // The event's own id is in its header; it need not be a UUID, as the column's must.
  const letter = uniqueId();
  const topic = deadLetterTopic(origin.topic);
  const key = storable(record.key ?? '');
  const { span, trace } = telling(topic, key, letter, { traceparent, tracestate });
  const { traceparent: _, tracestate: __, ...own } = record.headers;
  const headers = {
    ...own,
    ce_id: id,
    ce_source: source,
    [`${PREFIX}reason`]: why.reason,
    [`${PREFIX}error`]: why.error.replaceAll(/\s+/g, ' ').slice(0, MAX_ERROR_LENGTH),
    [`${PREFIX}group`]: group,
    [`${PREFIX}attempts`]: String(why.attempts),
    [`${PREFIX}first_failure`]: why.firstFailure.toISOString(),
    [`${PREFIX}last_failure`]: why.lastFailure.toISOString(),
    [`${PREFIX}origin_topic`]: origin.topic,
    [`${PREFIX}origin_partition`]: origin.partition,
    [`${PREFIX}origin_offset`]: origin.offset,
    [`${PREFIX}null_value`]: String(record.value === null),
  };
  return {
    id: letter,
    topic,
    key,
    type: storable(record.headers.ce_type ?? ''),
    payload: record.value ?? new Uint8Array(),
    contentType: storable(record.headers['content-type'] ?? JSON_TYPE),
    traceparent: trace.traceparent ?? null,
    tracestate: trace.tracestate ?? null,
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [storable(name), storable(value)]),
    ),
    span,
  };
}

/** What a person put in the place of a dead letter's payload. */
export interface Correction {
  /** JSON, as the topic's contract has it. */
  readonly value: Uint8Array;
  /** The key that the contract takes from the new payload. */
  readonly key: string;
}

/**
 * The record that brings a dead letter back to the group that gave up on it, and to nobody else, under its own id: append it to the log
 * to redrive it. Only an event that the group's inbox holds as dead runs again, so redriving it twice changes nothing.
 * @throws Error when the record is not a dead letter.
 */
export function redriveOf(letter: LogRecord, correction?: Correction): LogRecord {
  const { group, value } = contentOf(letter);
  if (!correction) return { topic: redriveTopic(group), key: letter.key, value, headers: letter.headers };
  const { ce_datacontenttype: _, ...headers } = letter.headers;
  return {
    topic: redriveTopic(group),
    ...correction,
    headers: {
      ...headers,
      'content-type': JSON_TYPE,
      [`${PREFIX}null_value`]: 'false',
      [`${PREFIX}corrected`]: 'true',
    },
  };
}

/**
 * The record that tells the group to forget a dead letter: its inbox row becomes `discarded`, no handler runs, and it can't be redriven
 * any more.
 * @param because why, for whoever looks at it later
 * @throws Error when the record is not a dead letter.
 */
export function discardOf(letter: LogRecord, because?: string): LogRecord {
  const { group, value } = contentOf(letter);
  const why = because === undefined ? {} : { [`${PREFIX}because`]: storable(because) };
  return {
    topic: redriveTopic(group),
    key: letter.key,
    value,
    headers: { ...letter.headers, ...why, [ACTION]: DISCARD },
  };
}

/** Whether a record of a redrive topic says that its event is to be forgotten instead of handled. */
export function isDiscard({ headers }: LogRecord): boolean {
  return headers[ACTION] === DISCARD;
}

/** Who gave up on it, and the value as it came: a tombstone is a dead letter without bytes. */
function contentOf(letter: LogRecord): { group: string; value: Uint8Array | null } {
  const { [`${PREFIX}group`]: group, [`${PREFIX}null_value`]: wasNull } = letter.headers;
  if (group === undefined || originOf(letter) === undefined)
    throw new Error('the record is not a dead letter');
  return { group, value: wasNull === 'true' ? null : letter.value };
}
