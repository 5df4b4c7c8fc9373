import type { Database } from '@tradewind/database/database';
import { delay } from '@tradewind/process/backoff';
import { reasonOf } from '@tradewind/process/wait-for';
import type { Logger } from '@tradewind/telemetry/logger';
import { type Standing, standingOf } from './epoch.ts';
import type { Life } from './link.ts';
import { Outage } from './outage.ts';

export interface TrustOptions {
  readonly database: Pick<Database, 'pool'>;
  readonly logger: Logger;
  /** How long a change may wait for Redis; 2 s when left out. */
  readonly patienceMs?: number;
  /** Milliseconds between looks; 1 s when left out. */
  readonly lookMs?: number;
}

/** What a reader that may not read from Redis is told. */
export type Distrust = 'unproven' | 'unfed' | 'behind';

/**
 * Whether what Redis says can be old. A projector that can't reach Redis leaves rows behind that grow old, which is looked for about once a second; what
 * a look found is believed for three times as long. So an answer of Redis is behind PostgreSQL by 5 s at worst (patience and that), by 3 s as a rule.
 */
export class Trust {
  readonly #options: Required<TrustOptions>;
  readonly #outage: Outage;
  #looking: Promise<void> | undefined;
  #found: (Standing & { readonly at: number }) | undefined;

  constructor({ patienceMs = 2_000, lookMs = 1_000, ...options }: TrustOptions) {
    this.#options = { patienceMs, lookMs, ...options };
    this.#outage = new Outage(options.logger, 'whether Redis is up to date');
  }

  /** The epoch of what may be read, or why nothing may. @param life the connection, which is not older than the look that counts */
  epochFor(life: Life): { readonly epoch: string } | Distrust {
    const { lookMs } = this.#options;
    const found = this.#found;
    if (!found || found.at < life.since || performance.now() - found.at > 3 * lookMs) return 'unproven';
    // Where changes are not noted, nothing tells what Redis lacks.
    if (!found.wanted) return 'unfed';
    return found.behind ? 'behind' : found;
  }

  /** Looks now. Whoever comes while somebody looks waits for a look of his own. Never rejects. */
  async look(): Promise<void> {
    await this.#looking;
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    await this.#looking;
  }

  /** Looks again and again until the signal aborts. @param also what else is looked after */
  async keep(signal: AbortSignal, also: () => Promise<void>): Promise<void> {
    for (;;) {
      await this.look();
      await also();
      await delay(this.#options.lookMs, signal);
    }
  }

  async #look(): Promise<void> {
    const { database, patienceMs } = this.#options;
    const at = performance.now();
    try {
      this.#found = { ...(await standingOf(database, patienceMs)), at };
      this.#outage.over();
    } catch (error) {
      this.#outage.goesOn(reasonOf(error));
    }
  }
}
