import { Code, ConnectError } from '@connectrpc/connect';
import type { PartitionLag, TopicPartition } from '../log.ts';
import type { Cluster } from './cluster.ts';
import { check, KafkaProblem } from './failure.ts';
import { byTopic, committedOf, EARLIEST, endsOf, LATEST, nameOf, partitionsOf } from './offsets.ts';

export async function lagOf(
  cluster: Cluster,
  group: string,
  topics: readonly string[],
): Promise<PartitionLag[]> {
  const partitions = await partitionsOf(cluster, topics);
  // What was committed first: a group that is quick must not seem to be ahead.
  const committed = await committedOf(cluster, group, partitions);
  const [starts, ends] = await Promise.all([
    endsOf(cluster, partitions, EARLIEST),
    endsOf(cluster, partitions, LATEST),
  ]);
  return partitions.map((one) => {
    const start = starts.get(nameOf(one)) ?? 0n;
    const end = ends.get(nameOf(one)) ?? 0n;
    const at = committed.get(nameOf(one)) ?? start;
    const stands = at < start ? start : at > end ? end : at;
    return { ...one, committed: stands, end, lag: end - stands };
  });
}

/** Commits the earliest place of each partition, as nobody's member: Kafka takes that only for a group without members. */
export async function rewind(cluster: Cluster, groupId: string, topics: readonly string[]): Promise<void> {
  const partitions = await partitionsOf(cluster, topics);
  const starts = await endsOf(cluster, partitions, EARLIEST);
  await cluster.persist(async () => {
    try {
      await commitAlone(cluster, groupId, partitions, starts);
    } catch (error) {
      cluster.forgetCoordinator(groupId);
      throw error;
    }
  });
}

async function commitAlone(
  cluster: Cluster,
  groupId: string,
  partitions: readonly TopicPartition[],
  offsets: ReadonlyMap<string, bigint>,
): Promise<void> {
  const live = new ConnectError(`group ${groupId} has live members`, Code.FailedPrecondition);
  const node = await cluster.coordinatorOf(groupId);
  const { groups } = await cluster.links.ask(node, 'DescribeGroups', { groupIds: [groupId] });
  for (const { errorCode, members } of groups) {
    const problem = errorCode ? new KafkaProblem(errorCode, `group ${groupId}`) : undefined;
    if (problem?.type === 'GROUP_ID_NOT_FOUND') continue;
    check(errorCode, `group ${groupId}`);
    if (members.length > 0) throw live;
  }
  const { responses } = await cluster.links.ask(node, 'OffsetCommit', {
    groupId,
    memberId: '',
    groupGenerationId: -1,
    topics: byTopic(partitions, (one) => ({
      partition: one.partition,
      offset: (offsets.get(nameOf(one)) ?? 0n).toString(),
    })),
  });
  for (const { partitions: answers } of responses)
    for (const { errorCode } of answers) {
      const problem = errorCode ? new KafkaProblem(errorCode, `group ${groupId}`) : undefined;
      // Somebody joined between the two questions.
      if (problem?.type === 'UNKNOWN_MEMBER_ID' || problem?.type === 'ILLEGAL_GENERATION') throw live;
      if (problem) throw problem;
    }
}
