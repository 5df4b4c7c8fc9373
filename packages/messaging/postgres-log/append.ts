import type { LogRecord } from '../log.ts';
import type { Statement } from './database.ts';

/** A record with its place found. */
export interface Placed {
  readonly record: LogRecord;
  readonly topicId: number;
  readonly partition: number;
}

/**
 * Appends a batch. The partitions' rows are locked one after the other in the same order by everybody, and until the commit, so that
 * offset order is commit order: whoever has read an offset has seen all before it. Answers the first offset of each partition.
 *
 * $1 topic, $2 partition and $3 count of records, an element for each partition; then an element for each record: $4 its place in
 * those arrays, $5 its number within the partition's part of the batch, $6 key, $8 where it begins in $7, the bytes of all
 * values and headers, $9 length of the value or -1 for null, $10 length of the headers.
 */
export const APPEND: Statement = {
  name: 'append',
  text: `
    WITH wanted AS (
      SELECT * FROM unnest($1::int[], $2::int[], $3::int[]) WITH ORDINALITY AS w(topic_id, partition, records, slot)
    ), locked AS (
      SELECT p.topic_id, p.partition, w.records, w.slot
      FROM wanted w JOIN event_log.partition p ON p.topic_id = w.topic_id AND p.partition = w.partition
      ORDER BY p.topic_id, p.partition FOR UPDATE OF p
    ), advanced AS (
      UPDATE event_log.partition p SET next_offset = p.next_offset + l.records
      FROM locked l WHERE p.topic_id = l.topic_id AND p.partition = l.partition
      RETURNING l.slot, p.next_offset - l.records AS base
    ), stored AS (
      INSERT INTO event_log.record (topic_id, partition, "offset", key, value, headers, appended_at)
      SELECT ($1::int[])[r.slot], ($2::int[])[r.slot],
        -- No base, no offset: a partition that is not there fails the batch.
        (SELECT array_agg(a.base ORDER BY w.slot) FROM wanted w LEFT JOIN advanced a ON a.slot = w.slot)[r.slot] + r.nth,
        r.key,
        CASE WHEN r.value_bytes >= 0 THEN substr($7::bytea, r.at, r.value_bytes) END,
        convert_from(substr($7::bytea, r.at + greatest(r.value_bytes, 0), r.header_bytes), 'UTF8')::json,
        clock_timestamp()
      FROM unnest($4::int[], $5::int[], $6::text[], $8::int[], $9::int[], $10::int[])
        AS r(slot, nth, key, at, value_bytes, header_bytes)
    )
    SELECT slot::int, base::text FROM advanced`,
};

export interface AppendBatch {
  readonly values: readonly unknown[];
  /** For each record its place in the arrays of partitions, from 1, and its number within its partition's part. */
  readonly slots: readonly number[];
  readonly nths: readonly number[];
}

/** The parameters of `APPEND`. Values travel as one binary parameter: as elements of an array they would be hexadecimal text. */
export function appendBatch(records: readonly Placed[]): AppendBatch {
  const slotOf = new Map<string, number>();
  const topics: number[] = [];
  const partitions: number[] = [];
  const counts: number[] = [];
  const slots: number[] = [];
  const nths: number[] = [];
  const keys: (string | null)[] = [];
  const starts: number[] = [];
  const valueBytes: number[] = [];
  const headerBytes: number[] = [];
  const chunks: Uint8Array[] = [];
  let at = 1;
  for (const { record, topicId, partition } of records) {
    const name = `${topicId}.${partition}`;
    let slot = slotOf.get(name);
    if (slot === undefined) {
      slot = topics.push(topicId);
      partitions.push(partition);
      counts.push(0);
      slotOf.set(name, slot);
    }
    const nth = counts[slot - 1] ?? 0;
    counts[slot - 1] = nth + 1;
    slots.push(slot);
    nths.push(nth);
    keys.push(record.key);
    const headers = Buffer.from(JSON.stringify(record.headers));
    starts.push(at);
    valueBytes.push(record.value ? record.value.length : -1);
    headerBytes.push(headers.length);
    if (record.value) chunks.push(record.value);
    chunks.push(headers);
    at += (record.value?.length ?? 0) + headers.length;
  }
  const bytes = Buffer.concat(chunks);
  return {
    values: [topics, partitions, counts, slots, nths, keys, bytes, starts, valueBytes, headerBytes],
    slots,
    nths,
  };
}
