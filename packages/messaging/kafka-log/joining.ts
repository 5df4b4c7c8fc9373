import type { TopicPartition } from '../log.ts';
import {
  assign,
  decodeAssignment,
  decodeJoining,
  encodeAssignment,
  encodeJoining,
  PROTOCOL,
} from './assignment.ts';
import type { Cluster, Links } from './cluster.ts';
import { check } from './failure.ts';
import type { Api } from './protocol.ts';

export interface JoinOptions {
  readonly cluster: Cluster;
  readonly group: string;
  readonly topics: readonly string[];
  readonly sessionMs: number;
  readonly handoverMs: number;
}

/** Who joins. */
interface Applicant {
  /** Empty for who was never there. */
  readonly memberId: string;
  /** The last that it took part in. */
  readonly generation: number;
  readonly owned: readonly TopicPartition[];
  /** Told the name that the group gives it, which it needs to leave. */
  readonly onName: (memberId: string) => void;
}

export interface Joined {
  readonly memberId: string;
  readonly generation: number;
  readonly assigned: readonly TopicPartition[];
  /** When the group heard of it for sure, in `performance.now()`. */
  readonly since: number;
}

const MEMBER_ID_REQUIRED = 79;
/** How much longer than the rebalance its answer may take. */
const SLACK_MS = 5_000;

/** Takes part in one rebalance, from its begin to the assignment; as the leader, makes the assignment. */
export async function join(
  { cluster, group: groupId, topics, sessionMs, handoverMs }: JoinOptions,
  links: Links,
  { memberId: before, generation: last, owned, onName }: Applicant,
): Promise<Joined> {
  const node = await cluster.coordinatorOf(groupId);
  const rebalanceTimeout = sessionMs + handoverMs;
  const metadata = encodeJoining({ topics, generation: last, owned });
  const ask = async (memberId: string) => {
    const application = {
      groupId,
      memberId,
      sessionTimeout: sessionMs,
      rebalanceTimeout,
      protocolType: 'consumer',
      groupProtocols: [{ name: PROTOCOL, metadata }],
    };
    return await links.ask(node, 'JoinGroup', application, rebalanceTimeout + SLACK_MS);
  };
  let joined = await ask(before);
  if (joined.errorCode === MEMBER_ID_REQUIRED) {
    onName(joined.memberId);
    joined = await ask(joined.memberId);
  }
  check(joined.errorCode, `group ${groupId}`);
  const { generationId: generation, leaderId, memberId, members } = joined;
  onName(memberId);
  const groupAssignment = leaderId === memberId ? await share(cluster, members) : [];
  const since = performance.now();
  const synced = await links.ask(
    node,
    'SyncGroup',
    { groupId, memberId, generationId: generation, groupAssignment },
    // It waits for the leader.
    sessionMs + SLACK_MS,
  );
  check(synced.errorCode, `group ${groupId}`);
  return { memberId, generation, assigned: decodeAssignment(synced.memberAssignment), since };
}

/** Who gets what. */
async function share(cluster: Cluster, members: Api['JoinGroup']['answer']['members']) {
  const joining = members.map(({ memberId, memberMetadata }) => decodeJoining(memberId, memberMetadata));
  const names = [...new Set(joining.flatMap(({ topics }) => topics))];
  await cluster.refresh(names);
  const counts = new Map(
    names.flatMap((name) => {
      const topic = cluster.known(name);
      return topic ? [[name, topic.partitions] as const] : [];
    }),
  );
  return [...assign(joining, counts)].map(([memberId, partitions]) => ({
    memberId,
    memberAssignment: encodeAssignment(partitions),
  }));
}
