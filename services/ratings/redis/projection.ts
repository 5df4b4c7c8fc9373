import type { Database } from '@tradewind/database/database';
import type { Logger } from '@tradewind/telemetry/logger';
import type { Metrics } from '@tradewind/telemetry/metrics';
import { ProjectionMetrics } from './projection-metrics.ts';
import { Projector } from './projector.ts';
import { Reads } from './reads.ts';
import type { Tally } from './tallies.ts';

export interface ProjectionOptions {
  /** `redis://` or `rediss://`. */
  readonly url: string;
  /** How long a read waits for Redis. */
  readonly timeoutMs: number;
  readonly database: Database;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Milliseconds between the worker's looks when nobody wakes it; 1,000 when left out. */
  readonly pollMs?: number | undefined;
}

/** The counts of PostgreSQL, in Redis. Opening connects to nothing; the first use of either side does. */
export interface Projection extends AsyncDisposable {
  /**
   * What Redis knows of these subjects, in one round trip. Of those that are not in the answer PostgreSQL has to be asked: Redis does not have them, is
   * away, slow, not complete, or may be behind. Takes as long as the timeout at most, and never rejects.
   */
  counts(subjects: readonly string[]): Promise<ReadonlyMap<string, Tally>>;
  /** Says that something may be due. Commits of this process that `markDue` took part in say it by themselves. */
  wake(): void;
  /** Brings Redis up to PostgreSQL, and fills it where it is not complete, until the signal aborts. A worker of processes that listen. */
  work(signal: AbortSignal): Promise<void>;
}

/** Opens the projection of the counts to a Redis. */
export function openProjection({ metrics, timeoutMs, ...options }: ProjectionOptions): Projection {
  const own = { ...options, metrics: metrics.of(ProjectionMetrics) };
  const projector = new Projector(own);
  let reads: Reads | undefined;
  return {
    async counts(subjects) {
      reads ??= new Reads({ ...own, timeoutMs });
      return await reads.counts(subjects);
    },
    wake: () => projector.wake(),
    work: (signal) => projector.work(signal),
    async [Symbol.asyncDispose]() {
      await reads?.[Symbol.asyncDispose]();
    },
  };
}
