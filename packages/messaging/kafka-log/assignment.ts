import kafkajs from 'kafkajs';
import type { TopicPartition } from '../log.ts';
import { byTopic, nameOf } from './offsets.ts';

const { MemberAssignment, MemberMetadata } = kafkajs.AssignerProtocol;

/** What a member says when it joins. */
export interface Joining {
  readonly memberId: string;
  readonly topics: readonly string[];
  /** What it owned, and since which generation of the group it is right about that. */
  readonly generation: number;
  readonly owned: readonly TopicPartition[];
}

/** The name of this way to share partitions; members of one group must all know it. */
export const PROTOCOL = 'tradewind-sticky';

/** Kafka's own format for consumers, so that its tools can show the group; what was owned rides as user data. */
export function encodeJoining({ topics, generation, owned }: Omit<Joining, 'memberId'>): Buffer {
  const held = byTopic(owned, ({ partition }) => partition);
  const userData = Buffer.from(JSON.stringify({ generation, owned: held }));
  return MemberMetadata.encode({ version: 1, topics: [...topics].sort(), userData });
}

export function decodeJoining(memberId: string, metadata: Buffer): Joining {
  const { topics = [], userData } = MemberMetadata.decode(metadata) ?? {};
  let generation = -1;
  let owned: TopicPartition[] = [];
  try {
    const said: { generation: number; owned: { topic: string; partitions: number[] }[] } = JSON.parse(
      userData?.toString() ?? '',
    );
    generation = said.generation;
    owned = said.owned.flatMap(({ topic, partitions }) =>
      partitions.map((partition) => ({ topic, partition })),
    );
  } catch {
    // Another release's words: it owned nothing that we know of.
  }
  return { memberId, topics, generation, owned };
}

export function encodeAssignment(partitions: readonly TopicPartition[]): Buffer {
  const assignment = Object.fromEntries(
    byTopic(partitions, ({ partition }) => partition).map(({ topic, partitions }) => [topic, partitions]),
  );
  return MemberAssignment.encode({ version: 1, assignment, userData: Buffer.alloc(0) });
}

export function decodeAssignment(bytes: Buffer): TopicPartition[] {
  // Nothing at all was assigned.
  if (bytes.length === 0) return [];
  const { assignment = {} } = MemberAssignment.decode(bytes) ?? {};
  return Object.entries(assignment).flatMap(([topic, partitions]) =>
    partitions.map((partition) => ({ topic, partition })),
  );
}

/**
 * Shares partitions: everybody the same number of each topic, and of all topics together, as far as numbers allow; and everybody keeps what it
 * has, as far as that allows.
 * @param partitions of each topic
 * @returns what each member gets, by its id
 */
export function assign(
  members: readonly Joining[],
  partitions: ReadonlyMap<string, number>,
): Map<string, TopicPartition[]> {
  const sorted = [...members].sort((a, b) => (a.memberId < b.memberId ? -1 : 1));
  const assigned = new Map(sorted.map(({ memberId }) => [memberId, [] as TopicPartition[]]));
  const owners = ownersOf(sorted);
  let turn = 0;
  for (const [topic, count] of [...partitions].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const takers = sorted.filter(({ topics }) => topics.includes(topic)).map(({ memberId }) => memberId);
    if (takers.length === 0) continue;
    const over = count % takers.length;
    const room = new Map(
      takers.map((memberId, rank) => {
        // What does not divide goes round: on from where the topic before ended.
        const extra = (((rank - turn) % takers.length) + takers.length) % takers.length < over ? 1 : 0;
        return [memberId, Math.floor(count / takers.length) + extra];
      }),
    );
    turn = (turn + over) % takers.length;
    const free: number[] = [];
    const give = (memberId: string, partition: number) => {
      room.set(memberId, (room.get(memberId) ?? 0) - 1);
      assigned.get(memberId)?.push({ topic, partition });
    };
    for (let partition = 0; partition < count; partition++) {
      const owner = owners.get(nameOf({ topic, partition }));
      if (owner !== undefined && (room.get(owner) ?? 0) > 0) give(owner, partition);
      else free.push(partition);
    }
    for (const memberId of takers)
      while ((room.get(memberId) ?? 0) > 0) {
        const partition = free.shift();
        if (partition === undefined) break;
        give(memberId, partition);
      }
  }
  return assigned;
}

/** Who owned what; of two who say so, the one of the later generation. */
function ownersOf(members: readonly Joining[]): Map<string, string> {
  const owners = new Map<string, Joining>();
  for (const member of members)
    for (const one of member.owned) {
      const other = owners.get(nameOf(one));
      if (!other || other.generation < member.generation) owners.set(nameOf(one), member);
    }
  return new Map([...owners].map(([name, { memberId }]) => [name, memberId]));
}
