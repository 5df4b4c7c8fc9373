import type { TopicPartition } from '../log.ts';
import { partitionKey, type Topic } from './topics.ts';

/** A partition that this member owns. */
export interface Held extends TopicPartition {
  readonly topicId: number;
  readonly key: string;
  /** Grows with every change of owner. */
  readonly generation: string;
  /** Next offset to receive. */
  position: bigint;
  /** Everything before it is committed. Equal to `position` when nothing is in the caller's hands. */
  settled: bigint;
  /** There may be records behind `position`. */
  fresh: boolean;
  paused: boolean;
  /** The caller was told that it is gone. */
  doubted: boolean;
  /** Set while it is being given away: when it goes even if not everything is committed, in `performance.now()`. */
  leavesBy: number | undefined;
}

/** A lease as the database tells it: topic, partition, generation, first offset to read, this member's share of the topic. */
export type LeaseRow = readonly [number, number, string, string, number];

/** What changed by a look at the leases. */
export interface Change {
  readonly gained: Held[];
  readonly lost: Held[];
}

/** The partitions of one member: pure bookkeeping. */
export class Holding {
  readonly #topics: ReadonlyMap<number, Topic>;
  readonly #held = new Map<string, Held>();

  constructor(topics: readonly Topic[]) {
    this.#topics = new Map(topics.map((topic) => [topic.id, topic]));
  }

  all(): Iterable<Held> {
    return this.#held.values();
  }

  get({ topic, partition }: TopicPartition): Held | undefined {
    for (const { id, name } of this.#topics.values())
      if (name === topic) return this.#held.get(partitionKey(id, partition));
    return undefined;
  }

  has(held: Held): boolean {
    return this.#held.get(held.key) === held;
  }

  drop(held: Held): void {
    if (this.has(held)) this.#held.delete(held.key);
  }

  clear(): void {
    this.#held.clear();
  }

  /** Says that there may be more to receive from these partitions; from all if undefined. Answers whether any is held. */
  freshen(keys?: ReadonlySet<string>): boolean {
    let any = false;
    for (const held of this.#held.values()) {
      if (keys && !keys.has(held.key)) continue;
      held.fresh = true;
      any = true;
    }
    return any;
  }

  /** Takes over what the database says. A lease of another generation is another lease: it begins where the group is. */
  update(rows: readonly LeaseRow[]): Change {
    const told = new Map(rows.map((row) => [partitionKey(row[0], row[1]), row]));
    const lost = [...this.#held.values()].filter((held) => told.get(held.key)?.[2] !== held.generation);
    for (const held of lost) this.#held.delete(held.key);
    const gained: Held[] = [];
    for (const [key, [topicId, partition, generation, offset]] of told) {
      const topic = this.#topics.get(topicId)?.name;
      if (topic === undefined || this.#held.has(key)) continue;
      const position = BigInt(offset);
      const held: Held = {
        topic,
        partition,
        topicId,
        key,
        generation,
        position,
        settled: position,
        fresh: true,
        paused: false,
        doubted: false,
        leavesBy: undefined,
      };
      this.#held.set(key, held);
      gained.push(held);
    }
    return { gained, lost };
  }

  /** Makes those that the caller believes gone begin again where they are committed. */
  rewindDoubted(): void {
    for (const held of this.#held.values()) {
      if (!held.doubted) continue;
      held.doubted = false;
      held.position = held.settled;
      held.fresh = true;
    }
  }

  /** Chooses what is beyond this member's share of each topic: first what is leaving already, then what nobody works on. */
  balance(rows: readonly LeaseRow[], leavesBy: number): void {
    for (const [topicId, share] of new Map(rows.map((row) => [row[0], row[4]]))) {
      const held = [...this.#held.values()]
        .filter((one) => one.topicId === topicId)
        .sort((a, b) => rank(a) - rank(b) || b.partition - a.partition);
      for (const [i, one] of held.entries()) {
        if (i < held.length - share) one.leavesBy ??= leavesBy;
        else if (one.leavesBy !== undefined) {
          one.leavesBy = undefined;
          one.fresh = true;
        }
      }
    }
  }

  /** What can be given back now: nothing of it is in the caller's hands, or that took too long. */
  ready(now: number): Held[] {
    return [...this.#held.values()].filter(
      ({ leavesBy, settled, position }) => leavesBy !== undefined && (settled >= position || leavesBy <= now),
    );
  }
}

function rank({ leavesBy, settled, position }: Held): number {
  if (leavesBy !== undefined) return 0;
  return settled >= position ? 1 : 2;
}
