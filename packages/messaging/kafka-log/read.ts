import { Code, ConnectError } from '@connectrpc/connect';
import type { Position, ReceivedRecord } from '../log.ts';
import type { Cluster } from './cluster.ts';
import { KafkaProblem } from './failure.ts';
import { READ_COMMITTED } from './fetcher.ts';
import { EARLIEST, endsOf, nameOf } from './offsets.ts';
import { recordsOf } from './records.ts';

/** What one read holds in memory at most, about; a larger record comes alone. */
const READ_BYTES = 16 * 1024 * 1024;
const FETCH_BYTES = 1024 * 1024;
/** Few records are asked for with less, for all that comes has to be decoded. The first batch comes whole, however large it is. */
const RECORD_BYTES = 16 * 1024;

/** Records of one partition from an offset on, by plain fetches. No group hears of it. */
export async function readRecords(
  cluster: Cluster,
  from: Position,
  limit: number,
): Promise<ReceivedRecord[]> {
  const [topic] = await cluster.topics([from.topic]);
  if (!topic || from.partition < 0 || from.partition >= topic.partitions)
    throw new ConnectError(`topic ${from.topic} has no partition ${from.partition}`, Code.NotFound);
  const found: ReceivedRecord[] = [];
  let bytes = 0;
  for (let offset = from.offset; found.length < limit && bytes < READ_BYTES; ) {
    const most = Math.min(FETCH_BYTES, (limit - found.length) * RECORD_BYTES);
    const page = await cluster.persist(() => fetchPage(cluster, { ...from, offset }, most), [from.topic]);
    if (page.next === offset) break;
    for (const record of page.records) {
      if (found.length >= limit) break;
      found.push(record);
      bytes += record.value?.length ?? 0;
    }
    offset = page.next;
  }
  return found;
}

async function fetchPage(cluster: Cluster, { topic, partition, offset }: Position, maxBytes: number) {
  const node = cluster.leaderOf(topic, partition);
  const { responses } = await cluster.links.ask(node, 'Fetch', {
    isolationLevel: READ_COMMITTED,
    maxWaitTime: 0,
    minBytes: 0,
    maxBytes,
    topics: [{ topic, partitions: [{ partition, fetchOffset: offset.toString(), maxBytes }] }],
  });
  const answer = responses[0]?.partitions[0];
  if (!answer) return { records: [], next: offset };
  if (!answer.errorCode) return await recordsOf({ topic, partition }, offset, answer);
  const problem = new KafkaProblem(answer.errorCode, `topic ${topic}`);
  if (problem.type !== 'OFFSET_OUT_OF_RANGE') throw problem;
  // Before the earliest there is the earliest; behind the end there is nothing.
  const start =
    (await endsOf(cluster, [{ topic, partition }], EARLIEST)).get(nameOf({ topic, partition })) ?? 0n;
  return { records: [], next: start > offset ? start : offset };
}
