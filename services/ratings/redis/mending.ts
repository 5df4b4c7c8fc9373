import type { Database } from '@tradewind/database/database';
import { reasonOf } from '@tradewind/process/wait-for';
import type { Logger } from '@tradewind/telemetry/logger';
import type { Life } from './link.ts';
import type { Store } from './store.ts';
import { talliesOf } from './tallies.ts';

export interface MendingOptions {
  readonly database: Pick<Database, 'pool'>;
  readonly store: Store;
  readonly logger: Logger;
}

/** Subjects at once, and how many may wait: what Redis throws out faster than this is better read from PostgreSQL. */
const STEP = 100;
const WAITING_MAX = 1_000;
/** A subject is looked at once in so long: many have never been rated, so that nothing is there to write. */
const AGAIN_MS = 60_000;
const REMEMBERED_MAX = 10_000;

/** Writes to Redis what a reader missed there: it was evicted, or somebody else changed it. */
export class Mending {
  readonly #options: MendingOptions;
  readonly #waiting = new Set<string>();
  readonly #looked = new Map<string, number>();
  #working: Promise<void> | undefined;

  constructor(options: MendingOptions) {
    this.#options = options;
  }

  /** Cheap, and never waits. */
  mend(life: Life, subject: string): void {
    const now = performance.now();
    if (now - (this.#looked.get(subject) ?? Number.NEGATIVE_INFINITY) < AGAIN_MS) return;
    if (this.#waiting.size >= WAITING_MAX) return;
    this.#remember(subject, now);
    this.#waiting.add(subject);
    this.#working ??= this.#work(life).finally(() => {
      this.#working = undefined;
    });
  }

  async ended(): Promise<void> {
    await this.#working;
  }

  /** In the order of their times, so the oldest goes first. */
  #remember(subject: string, now: number): void {
    this.#looked.delete(subject);
    this.#looked.set(subject, now);
    const [oldest] = this.#looked.keys();
    if (this.#looked.size > REMEMBERED_MAX && oldest !== undefined) this.#looked.delete(oldest);
  }

  async #work(life: Life): Promise<void> {
    const { database, store, logger } = this.#options;
    try {
      while (this.#waiting.size > 0) {
        const subjects = [...this.#waiting].slice(0, STEP);
        for (const subject of subjects) this.#waiting.delete(subject);
        const { epoch, rows } = await talliesOf(database, subjects);
        if (rows.length > 0) await store.write({ epoch, life }, rows, { mend: true });
      }
    } catch (error) {
      this.#waiting.clear();
      logger.debug({ reason: reasonOf(error) }, 'counts that Redis had lost were not written again');
    }
  }
}
