import type { Values } from '@tradewind/process/environment';
import type { ServiceDeps } from '@tradewind/service/define';
import type { settings } from './config.ts';
import type { Projection } from './redis/projection.ts';
import type { Tally } from './redis/tallies.ts';
import { projectionOf } from './redis/wiring.ts';
import { openStatistics, type Statistics } from './statistics/client.ts';
import { StatisticsMetrics } from './statistics/metrics.ts';
import { type Follower, openSummaries, type Summaries } from './summaries.ts';

export type Deps = ServiceDeps<Values<typeof settings>>;

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
