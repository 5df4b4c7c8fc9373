import type { Logger } from '@tradewind/telemetry/logger';
import type { Pool } from 'pg';
import type { Consumer, TopicPartition } from './log.ts';

export interface RoomOptions {
  readonly group: string;
  readonly pool: Pool;
  readonly consumer: Pick<Consumer, 'pause' | 'resume' | 'owns'>;
  /** Held events at most. */
  readonly maxHeld: number;
  readonly logger: Logger;
}

const COUNT = 'SELECT count(*)::int AS events FROM held_event WHERE consumer_group = $1';
/** Partitions go on when the held are so much fewer than the most: not with each single one. */
const ENOUGH = 0.9;
const RECOUNT_MS = 500;

/** Keeps the held events in bounds: partitions that add to them pause while there are too many, others go on. */
export class Room {
  readonly #options: RoomOptions;
  readonly #paused = new Map<string, TopicPartition>();
  /** As counted last, and what was added here since. */
  #held = 0;
  #countedAt = Number.NEGATIVE_INFINITY;

  constructor(options: RoomOptions) {
    this.#options = options;
  }

  get paused(): boolean {
    return this.#paused.size > 0;
  }

  /** These partitions have just added to what is held, each time that they are named one event. */
  async added(partitions: readonly TopicPartition[]): Promise<void> {
    const { consumer, maxHeld, logger } = this.#options;
    this.#held += partitions.length;
    // What others add meanwhile is seen soon enough.
    if (this.#held < maxHeld && performance.now() - this.#countedAt < RECOUNT_MS) return;
    const held = await this.#count();
    if (held < maxHeld) return;
    for (const { topic, partition } of partitions) {
      const name = `${topic}/${partition}`;
      if (this.#paused.has(name)) continue;
      this.#paused.set(name, { topic, partition });
      consumer.pause([{ topic, partition }]);
      logger.error({ topic, partition, held }, 'too many events are held for retry; the partition pauses');
    }
  }

  /** Lets partitions go on once there is room again. */
  async look(): Promise<void> {
    const { consumer, maxHeld, logger } = this.#options;
    // A partition that went to another member is not paused any more, here or there.
    for (const [name, partition] of this.#paused) if (!consumer.owns(partition)) this.#paused.delete(name);
    if (this.#paused.size === 0) return;
    const held = await this.#count();
    if (held > maxHeld * ENOUGH) return;
    consumer.resume([...this.#paused.values()]);
    logger.info(
      { partitions: [...this.#paused.keys()], held },
      'there is room for events in retry; partitions go on',
    );
    this.#paused.clear();
  }

  async #count(): Promise<number> {
    const { group, pool } = this.#options;
    const { rows } = await pool.query<{ events: number }>(COUNT, [group]);
    this.#countedAt = performance.now();
    this.#held = rows[0]?.events ?? 0;
    return this.#held;
  }
}
