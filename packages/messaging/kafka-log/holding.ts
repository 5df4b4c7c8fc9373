import type { ReceivedRecord, TopicPartition } from '../log.ts';
import { nameOf } from './offsets.ts';

/** A partition that this member owns. Another object is another ownership. */
export interface Held extends TopicPartition {
  readonly name: string;
  /** Where this ownership began. */
  readonly start: bigint;
  /** Next offset to give to the caller. */
  position: bigint;
  /** Everything before it is committed. Equal to `position` when nothing is in the caller's hands. */
  settled: bigint;
  /** Next offset to fetch. */
  fetchFrom: bigint;
  /** Fetched and not given yet. */
  buffer: ReceivedRecord[];
  paused: boolean;
  /** The caller was told that it is gone. */
  doubted: boolean;
  /** Not before that is it fetched again, in `performance.now()`. */
  rests: number;
}

/** The partitions of one member: pure bookkeeping. */
export class Holding {
  readonly #held = new Map<string, Held>();
  #turn = 0;

  all(): Iterable<Held> {
    return this.#held.values();
  }

  get(partition: TopicPartition): Held | undefined {
    return this.#held.get(nameOf(partition));
  }

  has(held: Held): boolean {
    return this.#held.get(held.name) === held;
  }

  drop(held: Held): void {
    if (this.has(held)) this.#held.delete(held.name);
  }

  clear(): void {
    this.#held.clear();
  }

  /** Keeps these only, and answers which of them are new. */
  keep(partitions: readonly TopicPartition[]): TopicPartition[] {
    const names = new Set(partitions.map(nameOf));
    for (const name of this.#held.keys()) if (!names.has(name)) this.#held.delete(name);
    return partitions.filter((one) => !this.#held.has(nameOf(one)));
  }

  gain({ topic, partition }: TopicPartition, start: bigint, paused = false): void {
    const name = nameOf({ topic, partition });
    this.#held.set(name, {
      topic,
      partition,
      name,
      start,
      position: start,
      settled: start,
      fetchFrom: start,
      buffer: [],
      paused,
      doubted: false,
      rests: 0,
    });
  }

  /** Whether anything that was given to the caller is not committed. */
  inHand(): boolean {
    for (const { settled, position } of this.#held.values()) if (settled < position) return true;
    return false;
  }

  /** Makes those that the caller believes gone begin again where they are committed. */
  rewindDoubted(): void {
    for (const held of [...this.#held.values()]) {
      if (!held.doubted) continue;
      // A new object, so that a fetch under way does not count.
      this.#held.set(held.name, {
        ...held,
        doubted: false,
        position: held.settled,
        fetchFrom: held.settled,
        buffer: [],
      });
    }
  }

  /** Takes up to `max` fetched records: from each partition its part, and from those that have more what is left over. */
  take(max: number): ReceivedRecord[] {
    const ready = [...this.#held.values()].filter(({ paused, buffer }) => !paused && buffer.length > 0);
    if (ready.length === 0) return [];
    // Another one begins each time, so that whoever comes last is not last always.
    const first = this.#turn++ % ready.length;
    const order = [...ready.slice(first), ...ready.slice(0, first)];
    const taken: ReceivedRecord[] = [];
    for (const [i, held] of order.entries()) {
      const part = Math.ceil((max - taken.length) / (order.length - i));
      takeFrom(held, part, taken);
    }
    for (const held of order) takeFrom(held, max - taken.length, taken);
    return taken;
  }
}

function takeFrom(held: Held, count: number, taken: ReceivedRecord[]): void {
  if (count <= 0 || held.buffer.length === 0) return;
  const some = held.buffer.length <= count ? held.buffer : held.buffer.slice(0, count);
  held.buffer = held.buffer.length <= count ? [] : held.buffer.slice(count);
  for (const record of some) taken.push(record);
  const last = some.at(-1);
  if (last) held.position = last.offset + 1n;
}
