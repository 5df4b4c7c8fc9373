import type { ReceivedRecord, TopicPartition } from '../log.ts';
import type { Held } from './holding.ts';

/** What one receive takes at most, so that large values can't fill the memory; a record larger than that comes alone. */
const BYTES_MAX = 16 * 1024 * 1024;

/** Place of the partition in the request from 1, offset, key, value, headers, time of the append. */
export type FetchedRow = [number, string, string | null, Buffer | null, Record<string, string>, Date];

/**
 * Reads several partitions at once, each in offset order: $1 topic, $2 partition, $3 first offset, $4 most records, $5 most bytes. The
 * records of a partition come one after the other, in offset order, by the shape of the plan, which the session's settings pin.
 */
export const FETCH = {
  name: 'fetch',
  text: `
    SELECT a.slot::int, r."offset"::text, r.key, r.value, r.headers, r.appended_at
    FROM unnest($1::int[], $2::int[], $3::bigint[], $4::int[], $5::int[])
      WITH ORDINALITY AS a(topic_id, partition, first, records, bytes, slot)
    CROSS JOIN LATERAL (
      SELECT page.*, sum(page.size) OVER (ORDER BY page."offset") - page.size AS before
      FROM (
        SELECT r."offset", r.key, r.value, r.headers, r.appended_at, coalesce(octet_length(r.value), 0) AS size
        FROM event_log.record r
        WHERE r.topic_id = a.topic_id AND r.partition = a.partition AND r."offset" >= a.first
        ORDER BY r."offset" LIMIT a.records
      ) page
    ) r
    WHERE r.before < a.bytes`,
};

/** What is asked of one partition. */
export interface Request {
  readonly held: Held;
  readonly limit: number;
  readonly bytes: number;
}

/**
 * Shares `maxRecords` among partitions that may have records, so that none starves. Those found empty are not asked again until
 * something is appended, so a single busy one soon gets everything.
 * @param turn changes with every call; with more partitions than records, others are asked each time
 */
export function requests(due: readonly Held[], maxRecords: number, turn: number): Request[] {
  const count = Math.min(due.length, maxRecords);
  if (count === 0) return [];
  const first = due.length > maxRecords ? (turn * maxRecords) % due.length : 0;
  const bytes = Math.max(1, Math.floor(BYTES_MAX / count));
  const base = Math.floor(maxRecords / count);
  return Array.from({ length: count }, (_, i) => due[(first + i) % due.length]).flatMap((held, i) =>
    held ? [{ held, limit: base + (i < maxRecords % count ? 1 : 0), bytes }] : [],
  );
}

/** The parameters of `FETCH`. */
export function fetchValues(asked: readonly Request[]): unknown[] {
  return [
    asked.map(({ held }) => held.topicId),
    asked.map(({ held }) => held.partition),
    asked.map(({ held }) => held.position.toString()),
    asked.map(({ limit }) => limit),
    asked.map(({ bytes }) => bytes),
  ];
}

export function recordOf(from: TopicPartition, row: FetchedRow): ReceivedRecord {
  const [, offset, key, value, headers, appendedAt] = row;
  return {
    topic: from.topic,
    partition: from.partition,
    offset: BigInt(offset),
    key,
    value,
    headers,
    appendedAt,
  };
}
