import type { TopicPartition } from '../log.ts';
import type { Cluster } from './cluster.ts';
import { check, KafkaProblem } from './failure.ts';

/** Kafka's marks for the two ends of a partition. */
export const EARLIEST = -2;
export const LATEST = -1;

export function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

/** Items by topic, as Kafka's requests want them. */
export function byTopic<T extends TopicPartition, P>(
  items: Iterable<T>,
  part: (item: T) => P,
): { topic: string; partitions: P[] }[] {
  const topics = new Map<string, P[]>();
  for (const item of items) {
    const parts = topics.get(item.topic);
    if (parts) parts.push(part(item));
    else topics.set(item.topic, [part(item)]);
  }
  return [...topics].map(([topic, partitions]) => ({ topic, partitions }));
}

/** Every partition of topics that are there. */
export async function partitionsOf(cluster: Cluster, names: readonly string[]): Promise<TopicPartition[]> {
  const topics = await cluster.topics([...new Set(names)]);
  return topics.flatMap(({ name: topic, partitions }) =>
    Array.from({ length: partitions }, (_, partition) => ({ topic, partition })),
  );
}

/** One end of each partition, by `nameOf`. */
export async function endsOf(
  cluster: Cluster,
  partitions: readonly TopicPartition[],
  end: typeof EARLIEST | typeof LATEST,
): Promise<Map<string, bigint>> {
  const ask = async () => {
    const byNode = new Map<number, TopicPartition[]>();
    for (const one of partitions) {
      const node = cluster.leaderOf(one.topic, one.partition);
      byNode.set(node, [...(byNode.get(node) ?? []), one]);
    }
    const ends = new Map<string, bigint>();
    await Promise.all(
      [...byNode].map(async ([node, some]) => {
        const topics = byTopic(some, ({ partition }) => ({ partition, timestamp: end }));
        const { responses } = await cluster.links.ask(node, 'ListOffsets', { isolationLevel: 0, topics });
        for (const { topic, partitions: answers } of responses)
          for (const { partition, errorCode, offset } of answers) {
            check(errorCode, `topic ${topic}`);
            ends.set(nameOf({ topic, partition }), BigInt(offset));
          }
      }),
    );
    return ends;
  };
  return await cluster.persist(
    ask,
    partitions.map(({ topic }) => topic),
  );
}

/** What a group committed, by `nameOf`; where it never committed, nothing. */
export async function committedOf(
  cluster: Cluster,
  groupId: string,
  partitions: readonly TopicPartition[],
): Promise<Map<string, bigint>> {
  const topics = byTopic(partitions, ({ partition }) => ({ partition }));
  return await cluster.persist(async () => {
    const node = await cluster.coordinatorOf(groupId);
    try {
      const { responses, errorCode } = await cluster.links.ask(node, 'OffsetFetch', { groupId, topics });
      check(errorCode, `group ${groupId}`);
      const offsets = new Map<string, bigint>();
      for (const { topic, partitions: answers } of responses)
        for (const { partition, errorCode, offset } of answers) {
          check(errorCode, `topic ${topic}`);
          if (BigInt(offset) >= 0n) offsets.set(nameOf({ topic, partition }), BigInt(offset));
        }
      return offsets;
    } catch (error) {
      if (!(error instanceof KafkaProblem) || error.passing) cluster.forgetCoordinator(groupId);
      throw error;
    }
  });
}

/** Where a group goes on in each partition, by `nameOf`: where it committed, else at the earliest record. */
export async function standOf(
  cluster: Cluster,
  groupId: string,
  partitions: readonly TopicPartition[],
): Promise<Map<string, bigint>> {
  const committed = await committedOf(cluster, groupId, partitions);
  const never = partitions.filter((one) => !committed.has(nameOf(one)));
  return new Map([...committed, ...(await endsOf(cluster, never, EARLIEST))]);
}
