import { deadLetterTopic, redriveTopic } from './contract.ts';
import { type EventContext, type Fact, JSON_TYPE, storable } from './event.ts';
import type { LogRecord, ReceivedRecord } from './log.ts';
import { uniqueId } from './unique-id.ts';

/** Why a group gave up on a record. */
export interface GivingUp {
  /** `undecodable`: its bytes never fit the contract; `rejected`: the handler said that it never will; `failed`: after all attempts. */
  readonly reason: 'undecodable' | 'rejected' | 'failed';
  /** The error's text, in one line. */
  readonly error: string;
  readonly attempts: number;
  readonly firstFailure: Date;
  readonly lastFailure: Date;
}

const MAX_ERROR_LENGTH = 1_000;
const PREFIX = 'dlq_';

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
  const headers = {
    ...record.headers,
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
    // The event's own id is in its header; it need not be a UUID, as the column's must.
    id: uniqueId(),
    topic: deadLetterTopic(origin.topic),
    key: storable(record.key ?? ''),
    type: storable(record.headers.ce_type ?? ''),
    payload: record.value ?? new Uint8Array(),
    contentType: storable(record.headers['content-type'] ?? JSON_TYPE),
    traceparent: traceparent ?? null,
    tracestate: tracestate ?? null,
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [storable(name), storable(value)]),
    ),
  };
}

/**
 * The record that brings a dead letter back to the group that gave up on it, and to nobody else, under its own id: append it to the log
 * to redrive it. Only an event that the group's inbox holds as dead runs again, so redriving it twice changes nothing.
 * @throws Error when the record is not a dead letter.
 */
export function redriveOf(letter: ReceivedRecord): LogRecord {
  const { dlq_group: group } = letter.headers;
  if (group === undefined || originOf(letter) === undefined)
    throw new Error('the record is not a dead letter');
  return {
    topic: redriveTopic(group),
    key: letter.key,
    value: letter.headers.dlq_null_value === 'true' ? null : letter.value,
    headers: letter.headers,
  };
}
