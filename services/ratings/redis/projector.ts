import type { Database } from '@tradewind/database/database';
import { delay, fullJitter } from '@tradewind/process/backoff';
import { together } from '@tradewind/process/together';
import type { Logger } from '@tradewind/telemetry/logger';
import { Bell } from './bell.ts';
import { onDue, settleDue, takeDue } from './due.ts';
import { standingOf, wantProjection } from './epoch.ts';
import { type Life, Link, RedisFailure } from './link.ts';
import { Outage } from './outage.ts';
import type { ProjectionMetrics } from './projection-metrics.ts';
import { refill } from './refilling.ts';
import { type Place, Store } from './store.ts';

export interface ProjectorOptions {
  readonly url: string;
  readonly database: Database;
  readonly logger: Logger;
  readonly metrics: ProjectionMetrics;
  /** Milliseconds between looks when nobody wakes it; 1,000 when left out. */
  readonly pollMs?: number | undefined;
}

/** Subjects a round. */
const ROUND = 500;
/** Between two rounds: changes that come meanwhile share the next one. */
const PAUSE_MS = 10;
/** Nobody waits for a projector, and a slow Redis still gets on. */
const TIMEOUT_MS = 5_000;
const BACKOFF = { baseMs: 100, capMs: 2_000 };
/** A Redis too small for all may throw out the very mark of its refill, and each try costs a look at everything. */
const LOST_BACKOFF = { baseMs: 100, capMs: 60_000 };
const RENEW_MS = 600_000;

/**
 * Brings Redis up to PostgreSQL. Every process that listens has one; they may do the same work at the same time, since what they write are absolute values,
 * newer ones only. It waits for a Redis that is away, and rejects when PostgreSQL is.
 */
export class Projector {
  readonly #options: ProjectorOptions;
  readonly #pollMs: number;
  readonly #due = new Bell();
  readonly #incomplete = new Bell();
  readonly #outage: Outage;

  constructor(options: ProjectorOptions) {
    this.#options = options;
    this.#pollMs = options.pollMs ?? 1_000;
    this.#outage = new Outage(options.logger, 'projection to Redis');
  }

  /** Something is due. Cheap; calls that come together are one. */
  wake(): void {
    this.#due.ring();
  }

  /** Works until the signal aborts. */
  async work(signal: AbortSignal): Promise<void> {
    const { url, database, logger } = this.#options;
    await using link = new Link({ url, purpose: 'projection', timeoutMs: TIMEOUT_MS, logger });
    link.onReady(() => {
      this.#due.ring();
      this.#incomplete.ring();
    });
    using _ = onDue(database, () => this.wake());
    await wantProjection(database);
    await together(
      {
        renewing: (signal) => this.#renew(signal),
        projecting: (signal) => this.#project(link, signal),
        refilling: (signal) => this.#refill(link, signal),
      },
      signal,
    );
  }

  async #renew(signal: AbortSignal): Promise<void> {
    for (;;) {
      await delay(RENEW_MS, signal);
      await wantProjection(this.#options.database);
    }
  }

  async #project(link: Link, signal: AbortSignal): Promise<void> {
    const store = new Store(link);
    for (let failures = 0; ; ) {
      await this.#due.wait(this.#pollMs, signal);
      const { life } = link;
      if (!life) continue;
      try {
        for (let more = true; more; await delay(PAUSE_MS, signal)) more = await this.#round(store, life);
        failures = 0;
      } catch (error) {
        await this.#rest(error, failures++, signal);
      }
    }
  }

  /** Brings up what is due for longest. Resolves with whether there is more to do at once. */
  async #round(store: Store, life: Life): Promise<boolean> {
    const { database, metrics } = this.#options;
    const due = await takeDue(database, ROUND);
    if (due.rows.length === 0) return false;
    const written = await store.write({ epoch: due.epoch, life }, due.rows);
    if (typeof written === 'string') {
      // It is filled from the same rows, so they may wait; whoever fills it rings when it has begun.
      this.#incomplete.ring();
      return false;
    }
    this.#outage.over();
    const kept = await settleDue(database, due);
    metrics.projected.add(due.rows.length - kept);
    return kept > 0 || due.rows.length === ROUND;
  }

  async #refill(link: Link, signal: AbortSignal): Promise<void> {
    const store = new Store(link);
    for (let failures = 0; ; ) {
      await this.#incomplete.wait(this.#pollMs, signal);
      const { life } = link;
      if (!life) continue;
      try {
        const { epoch } = await standingOf(this.#options.database, 0);
        failures = (await this.#fill(store, { epoch, life }, signal)) ? 0 : failures + 1;
        if (failures > 0) await delay(fullJitter(failures - 1, LOST_BACKOFF), signal);
      } catch (error) {
        await this.#rest(error, failures++, signal);
      }
    }
  }

  /** Fills the store unless it is complete. Resolves with whether it is, or another process is at it. */
  async #fill(store: Store, place: Place, signal: AbortSignal): Promise<boolean> {
    const { database, logger, metrics } = this.#options;
    const began = performance.now();
    let told = false;
    const onPage = () => {
      // Changes are projected from the first page on.
      if (!told) this.#due.ring();
      told = true;
    };
    try {
      const { end, ...did } = await refill(place, signal, { database, store, onPage });
      this.#outage.over();
      if (end === 'there') return true;
      metrics.refilled(end);
      const ms = Math.round(performance.now() - began);
      if (end === 'complete') logger.info({ ...did, ms }, 'Redis was filled with all counts');
      else
        logger.warn(
          { ...did, ms },
          'Redis was emptied, or other counts are in force, while it was filled; again',
        );
      this.#due.ring();
      return end === 'complete';
    } catch (error) {
      if (told && !signal.aborted) metrics.refilled('failed');
      throw error;
    }
  }

  /** After a failure of Redis; one of PostgreSQL is the worker's. */
  async #rest(error: unknown, failures: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!(error instanceof RedisFailure)) throw error;
    this.#outage.goesOn(error.message);
    await delay(fullJitter(failures, BACKOFF), signal);
  }
}
