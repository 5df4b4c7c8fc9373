import type { Position, ReceivedRecord, TopicPartition } from './log.ts';

interface Partition {
  readonly topic: string;
  readonly partition: number;
  /** Next offset to receive. */
  next: bigint;
  /** What was committed last; undefined before the first commit. */
  committed: bigint | undefined;
  /** Offsets that were received and are not settled. */
  readonly open: Set<bigint>;
}

/** Knows how far each partition may be committed: up to its first record that is not settled. */
export class Progress {
  readonly #partitions = new Map<string, Partition>();

  /** Records that were received, in offset order within each partition. */
  received(records: readonly ReceivedRecord[]): void {
    for (const { topic, partition, offset } of records) {
      const name = `${topic}/${partition}`;
      let at = this.#partitions.get(name);
      if (!at) {
        at = { topic, partition, next: offset, committed: undefined, open: new Set() };
        this.#partitions.set(name, at);
      }
      // A partition that came back to this member starts again where the group stands.
      if (offset < at.next) at.committed = undefined;
      at.next = offset + 1n;
      at.open.add(offset);
    }
  }

  settled({ topic, partition, offset }: ReceivedRecord): void {
    this.#partitions.get(`${topic}/${partition}`)?.open.delete(offset);
  }

  /** What can be committed now and was not yet; counts as committed from here on. */
  take(): Position[] {
    const positions: Position[] = [];
    for (const at of this.#partitions.values()) {
      let offset = at.next;
      for (const open of at.open) if (open < offset) offset = open;
      if (at.committed === offset) continue;
      at.committed = offset;
      positions.push({ topic: at.topic, partition: at.partition, offset });
    }
    return positions;
  }

  /** A commit failed: what it would have said is said again. */
  reopen({ topic, partition }: TopicPartition): void {
    const at = this.#partitions.get(`${topic}/${partition}`);
    if (at) at.committed = undefined;
  }

  /** Forgets a partition that is another member's now. */
  forget({ topic, partition }: TopicPartition): void {
    this.#partitions.delete(`${topic}/${partition}`);
  }
}
