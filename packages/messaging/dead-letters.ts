import { Code, ConnectError } from '@connectrpc/connect';
import { deadLetterTopic, redriveTopic } from './contract.ts';
import { type Origin, originOf } from './dead-letter.ts';
import { traceIdOf } from './event.ts';
import type { EventLog, Position, ReceivedRecord, TopicPartition } from './log.ts';

/** What is known of a dead letter besides its payload. */
export interface DeadLetter {
  /** Where it lies: in the dead-letter topic of the topic that it was on. */
  readonly place: Position;
  /** When the log took it. */
  readonly appendedAt: Date;
  /** Who gave up on it. */
  readonly group: string;
  /** Of the event; with the group they name its row in the group's inbox. */
  readonly source: string;
  readonly id: string;
  readonly key: string | null;
  /** The message's full name; empty when the producer did not say. */
  readonly type: string;
  readonly reason: string;
  readonly error: string;
  readonly attempts: number;
  /** ISO times, as the group wrote them; empty when it did not. */
  readonly firstFailure: string;
  readonly lastFailure: string;
  /** The record that the group gave up on. */
  readonly origin: Origin;
  /** 32 hexadecimal digits; undefined when nothing was traced. */
  readonly traceId: string | undefined;
  /** Somebody corrected its payload before it was redriven and died again. */
  readonly corrected: boolean;
  /** Of the payload; null where there was none. */
  readonly bytes: number | null;
}

/** Reads a record as a dead letter; undefined when it is none. */
export function deadLetterIn(record: ReceivedRecord): DeadLetter | undefined {
  const { headers, topic, partition, offset, appendedAt, key, value } = record;
  const { dlq_group: group, ce_id: id, ce_source: source } = headers;
  const origin = originOf(record);
  if (group === undefined || id === undefined || source === undefined || !origin) return undefined;
  return {
    place: { topic, partition, offset },
    appendedAt,
    group,
    source,
    id,
    key,
    type: headers.ce_type ?? '',
    reason: headers.dlq_reason ?? 'unknown',
    error: headers.dlq_error ?? '',
    attempts: Number(headers.dlq_attempts ?? 0),
    firstFailure: headers.dlq_first_failure ?? '',
    lastFailure: headers.dlq_last_failure ?? '',
    origin,
    traceId: traceIdOf(headers.traceparent),
    corrected: headers.dlq_corrected === 'true',
    bytes: headers.dlq_null_value === 'true' ? null : (value?.length ?? 0),
  };
}

/** The dead-letter topics of a group that hears these topics; the last is for what was put on its redrive topic and was none. */
export function deadLetterTopicsOf(group: string, hears: readonly string[]): string[] {
  return [...hears.map(deadLetterTopic), deadLetterTopic(redriveTopic(group))];
}

/** A dead letter's event as its group knows it: the same for every letter about it. */
export function eventOf({ group, source, id }: Pick<DeadLetter, 'group' | 'source' | 'id'>): string {
  return JSON.stringify([group, source, id]);
}

/** The newest letter of each event, the oldest first: an event that was redriven and died again has several. */
export function newestOfEach(letters: Iterable<DeadLetter>): DeadLetter[] {
  const newest = new Map<string, DeadLetter>();
  for (const letter of letters) {
    const known = newest.get(eventOf(letter));
    if (!known || isNewer(letter, known)) newest.set(eventOf(letter), letter);
  }
  return [...newest.values()].sort((a, b) => a.appendedAt.getTime() - b.appendedAt.getTime());
}

function isNewer(a: DeadLetter, b: DeadLetter): boolean {
  if (a.place.topic === b.place.topic && a.place.partition === b.place.partition)
    return a.place.offset > b.place.offset;
  return a.appendedAt >= b.appendedAt;
}

/** A partition and how much of it there is. */
export type Bounds = TopicPartition & { readonly start: bigint; readonly end: bigint };

/** Bounds of a topic's partitions; none when there is no such topic. */
export async function boundsIfThere(log: Pick<EventLog, 'bounds'>, topic: string): Promise<Bounds[]> {
  try {
    return await log.bounds(topic);
  } catch (error) {
    if (ConnectError.from(error).code === Code.NotFound) return [];
    throw error;
  }
}

const PAGE = 500;

/** The records from an offset up to another one, page by page; what was removed meanwhile is skipped. */
export async function* readBetween(
  log: Pick<EventLog, 'read'>,
  from: Position,
  end: bigint,
): AsyncGenerator<ReceivedRecord[]> {
  for (let { offset } = from; offset < end; ) {
    const most = end - offset < PAGE ? Number(end - offset) : PAGE;
    const records = await log.read({ ...from, offset }, most);
    const last = records.at(-1);
    if (!last) return;
    offset = last.offset + 1n;
    yield records.filter((record) => record.offset < end);
  }
}

/** All records that are on a topic now, page by page; none when there is no such topic. */
export async function* readTopic(
  log: Pick<EventLog, 'read' | 'bounds'>,
  topic: string,
): AsyncGenerator<ReceivedRecord[]> {
  for (const { partition, start, end } of await boundsIfThere(log, topic))
    yield* readBetween(log, { topic, partition, offset: start }, end);
}
