import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Position, TopicPartition } from '../log.ts';
import type { Cluster } from './cluster.ts';
import { isPassing, KafkaProblem, understood } from './failure.ts';
import type { Held } from './holding.ts';
import { isForgotten, type Membership } from './membership.ts';
import { byTopic } from './offsets.ts';

export interface CommitOptions {
  readonly cluster: Cluster;
  readonly group: string;
}

/**
 * Commits what this member may commit: positions that it has come to in this ownership of the partition.
 * @returns the partitions for which it was refused
 * @throws ConnectError with `Unavailable` when nobody answered in time; then it may have been done
 */
export async function commit(
  membership: Membership,
  positions: readonly Position[],
  { cluster, group }: CommitOptions,
): Promise<TopicPartition[]> {
  const patience = AbortSignal.timeout(cluster.options.patienceMs);
  const refused: TopicPartition[] = [];
  let left = positions;
  for (let attempt = 0; left.length > 0; attempt++) {
    if (attempt > 0) await sleep(Math.min(10 * 2 ** attempt, 300));
    try {
      await membership.settled(patience);
      left = await once(membership, left, refused);
    } catch (error) {
      if (error === patience.reason)
        throw new ConnectError('the group was rebalancing for too long', Code.Unavailable);
      if (!isPassing(error) || patience.aborted) throw understood(error);
      cluster.forgetCoordinator(group);
      await cluster.refresh().catch(() => undefined);
    }
  }
  return refused;
}

/** One try. Answers what has to be tried again. */
async function once(
  membership: Membership,
  positions: readonly Position[],
  refused: TopicPartition[],
): Promise<Position[]> {
  const { holding, identity } = membership;
  const wanted = new Map<string, { held: Held; position: Position }>();
  for (const position of positions) {
    const held = holding.get(position);
    // Lost and got back meanwhile, it may stand elsewhere now.
    if (held && position.offset >= held.start && position.offset <= held.position)
      wanted.set(held.name, { held, position });
    else refused.push(placeOf(position));
  }
  if (wanted.size === 0) return [];
  const { responses } = await membership.ask('OffsetCommit', {
    ...identity,
    topics: byTopic(
      [...wanted.values()].map(({ position }) => position),
      ({ partition, offset }) => ({ partition, offset: offset.toString() }),
    ),
  });
  const again: Position[] = [];
  for (const { topic, partitions } of responses)
    for (const { partition, errorCode } of partitions) {
      const one = wanted.get(`${topic}/${partition}`);
      if (!one) continue;
      if (!errorCode) {
        one.held.settled = one.position.offset;
        continue;
      }
      const problem = new KafkaProblem(errorCode, `group ${identity.groupId}`);
      if (isForgotten(problem)) {
        refused.push(placeOf(one.position));
        // Unless it has joined again since.
        if (membership.identity.groupGenerationId === identity.groupGenerationId) membership.forgotten();
      } else if (problem.passing || problem.type === 'REBALANCE_IN_PROGRESS') again.push(one.position);
      else throw problem;
    }
  membership.committed();
  return again;
}

function placeOf({ topic, partition }: TopicPartition): TopicPartition {
  return { topic, partition };
}
