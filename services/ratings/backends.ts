import type { Database } from '@tradewind/database/database';
import type { Values } from '@tradewind/process/environment';
import type { ServiceDeps } from '@tradewind/service/define';
import type { settings } from './config.ts';
import { openProjection, type Projection } from './redis/projection.ts';
import type { Tally } from './redis/tallies.ts';
import { openStatistics, type Statistics } from './statistics/client.ts';
import { StatisticsMetrics } from './statistics/metrics.ts';
import { type Follower, openSummaries, type Summaries } from './summaries.ts';

export type Deps = ServiceDeps<Values<typeof settings>>;

const projections = new WeakMap<Database, Projection | undefined>();

/** The process's projection to Redis, which those who read and its worker share; undefined without a REDIS_URL. */
function projectionOf({ config, database, logger, metrics, scope }: Deps): Projection | undefined {
  if (projections.has(database)) return projections.get(database);
  const { REDIS_URL: url, REDIS_TIMEOUT: timeoutMs } = config;
  const projection =
    url === undefined ? undefined : scope.use(openProjection({ url, timeoutMs, database, logger, metrics }));
  projections.set(database, projection);
  return projection;
}

/** What answers questions about ratings: counts, and what the statistics function makes of them. */
export interface Reading {
  readonly summaries: Summaries;
  readonly statistics: Statistics;
}

/** Opens what reads work with; it is disposed after the last request. */
export function openReading(deps: Deps): Reading {
  const { config, database, logger, metrics, scope } = deps;
  const projection = projectionOf(deps);
  return {
    summaries: openSummaries(database, projection && follower(projection)),
    statistics: scope.use(openStatistics({ config, metrics: metrics.of(StatisticsMetrics), logger })),
  };
}

function follower(projection: Projection): Follower {
  return {
    async read(subjects) {
      const found = await projection.counts(subjects);
      return new Map([...found].map(([subject, tally]) => [subject, summaryOf(subject, tally)]));
    },
  };
}

function summaryOf(subject: string, { counts, changedAt, revision }: Tally) {
  return { subject, counts, changedAt, revision: BigInt(revision) };
}

/** Brings Redis up to the counts, where there is one. */
export async function project(deps: Deps, signal: AbortSignal): Promise<void> {
  const projection = projectionOf(deps);
  if (projection) return await projection.work(signal);
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => resolve(), { once: true });
  if (!signal.aborted) await promise;
}
