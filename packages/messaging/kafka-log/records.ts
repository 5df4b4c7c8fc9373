import type { LogRecord, ReceivedRecord, TopicPartition } from '../log.ts';
import { type Batch, decodeBatches } from './batch-reading.ts';
import type { FetchedPartition } from './protocol.ts';

/** A message on its way out. */
export type OutMessage = Pick<LogRecord, 'key' | 'value' | 'headers'>;

/** Bytes that a message takes in a batch; never fewer than it takes. */
export function sizeOf({ key, value, headers }: OutMessage): number {
  let bytes = 40 + (key === null ? 0 : Buffer.byteLength(key)) + (value?.length ?? 0);
  for (const name in headers) bytes += 10 + 3 * (name.length + (headers[name]?.length ?? 0));
  return bytes;
}

/** What a batch takes besides its messages. */
export const BATCH_OVERHEAD = 100;

export interface FetchedRecords {
  readonly records: ReceivedRecord[];
  /** Where to fetch next: behind all that was seen, also where compaction or a transaction's end left nothing to read. */
  readonly next: bigint;
}

/** The committed records among what was fetched from an offset on. */
export async function recordsOf(
  { topic, partition }: TopicPartition,
  offset: bigint,
  { aborted, bytes }: Pick<FetchedPartition, 'aborted' | 'bytes'>,
): Promise<FetchedRecords> {
  const records: ReceivedRecord[] = [];
  const coming = [...aborted].sort((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1));
  const aborting = new Set<bigint>();
  let next = offset;
  for (const batch of await decodeBatches(bytes)) {
    while (coming[0] && coming[0].firstOffset <= batch.lastOffset)
      aborting.add(coming.shift()?.producerId ?? -1n);
    if (batch.marker === 'abort') aborting.delete(batch.producerId);
    if (!batch.transactional || !aborting.has(batch.producerId))
      take(batch, offset, topic, partition, records);
    if (batch.lastOffset >= next) next = batch.lastOffset + 1n;
  }
  return { records, next };
}

function take(
  { messages }: Batch,
  from: bigint,
  topic: string,
  partition: number,
  records: ReceivedRecord[],
): void {
  // A batch is fetched whole, also when the offset is in the midst of it.
  for (const { offset, time, key, value, headers } of messages)
    if (offset >= from)
      records.push({ topic, partition, offset, key, value, headers, appendedAt: new Date(time) });
}
