/** The two bodies that carry records, as bytes: nearly all of what a log costs is in these. */
import { ByteReader, ByteWriter } from './bytes.ts';
import type { Api, FetchedPartition } from './protocol.ts';

/** The body of a produce request, versions 3 to 7. */
export function encodeProduce({ acks, timeout, topicData }: Api['Produce']['ask']): Buffer {
  const sizes = topicData.flatMap(({ partitions }) => partitions.map(({ batch }) => batch.length + 64));
  const writer = new ByteWriter(sizes.reduce((sum, size) => sum + size, 1_024));
  // No transaction.
  writer.int16(-1);
  writer.int16(acks);
  writer.int32(timeout);
  writer.int32(topicData.length);
  for (const { topic, partitions } of topicData) {
    writer.text(topic);
    writer.int32(partitions.length);
    for (const { partition, batch } of partitions) {
      writer.int32(partition);
      writer.int32(batch.length);
      writer.bytes(batch);
    }
  }
  return writer.written;
}

/** The body of a fetch's answer, versions 4 to 11. */
export function decodeFetch(body: Buffer, version: number): Api['Fetch']['answer'] {
  const reader = new ByteReader(body);
  reader.int32();
  const errorCode = version >= 7 ? reader.int16() : 0;
  if (version >= 7) reader.int32();
  const responses = list(reader, () => ({
    topicName: reader.text(),
    partitions: list(reader, () => partitionOf(reader, version)),
  }));
  return { errorCode, responses };
}

function partitionOf(reader: ByteReader, version: number): FetchedPartition {
  const partition = reader.int32();
  const errorCode = reader.int16();
  reader.int64();
  reader.int64();
  if (version >= 5) reader.int64();
  const aborted = list(reader, () => ({ producerId: reader.int64(), firstOffset: reader.int64() }));
  if (version >= 11) reader.int32();
  const size = reader.int32();
  return { partition, errorCode, aborted, bytes: reader.bytes(Math.max(size, 0)) };
}

function list<T>(reader: ByteReader, read: () => T): T[] {
  const items: T[] = [];
  for (let left = reader.int32(); left > 0; left--) items.push(read());
  return items;
}
