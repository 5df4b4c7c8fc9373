import type { Cluster } from './cluster.ts';
import { check } from './failure.ts';
import { nameOf } from './offsets.ts';

/** Sequences are 32 bits wide; long before that a new identity begins. */
const SEQUENCE_MAX = 2 ** 30;

/** Who an idempotent producer is to the brokers, and the number of its next record in each partition. */
export class Identity {
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly #next = new Map<string, number>();

  private constructor(producerId: bigint, producerEpoch: number) {
    this.producerId = producerId;
    this.producerEpoch = producerEpoch;
  }

  static async obtain(cluster: Cluster): Promise<Identity> {
    const answer = await cluster.links.askAny('InitProducerId', { transactionTimeout: 60_000 });
    check(answer.errorCode, 'a producer');
    return new Identity(BigInt(answer.producerId), answer.producerEpoch);
  }

  next(topic: string, partition: number): number {
    return this.#next.get(nameOf({ topic, partition })) ?? 0;
  }

  /** Says that the partition took so many records. */
  advance(topic: string, partition: number, count: number): void {
    this.#next.set(nameOf({ topic, partition }), this.next(topic, partition) + count);
  }

  /** Whether its numbers are about to end. */
  get old(): boolean {
    for (const next of this.#next.values()) if (next > SEQUENCE_MAX) return true;
    return false;
  }
}
