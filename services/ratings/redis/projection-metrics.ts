import type { DatabaseGauges } from '@tradewind/service/database-gauges';
import type { OwnMetrics } from '@tradewind/service/define';
import type { Counter, Family, Metrics } from '@tradewind/telemetry/metrics';

/** Why PostgreSQL was asked for counts. */
export const REASONS = [
  'away',
  'unproven',
  'unfed',
  'behind',
  'incomplete',
  'absent',
  'damaged',
  'slow',
  'failed',
  'resting',
] as const;
export type Reason = (typeof REASONS)[number];

/** How a refill ended. */
export const ENDS = ['complete', 'lost', 'failed'] as const;
export type RefillEnd = (typeof ENDS)[number];

/** Counts where counts are read from, and how they get to Redis. */
export class ProjectionMetrics implements OwnMetrics {
  readonly fromRedis: Counter;
  /** Subjects that were written to Redis, or were there already. */
  readonly projected: Counter;
  readonly #fromPostgres: Readonly<Record<Reason, Counter>>;
  readonly #refills: Family<Counter>;

  constructor(metrics: Metrics) {
    const reads = metrics.counter({
      name: 'tradewind_ratings_reads_total',
      help: 'Subjects whose counts were read, by where, and why not from Redis',
      labels: ['source', 'reason'],
    });
    this.fromRedis = reads.at('redis', '');
    this.#fromPostgres = Object.fromEntries(
      REASONS.map((reason) => [reason, reads.at('postgres', reason)]),
    ) as Record<Reason, Counter>;
    this.projected = metrics
      .counter({
        name: 'tradewind_ratings_projected_total',
        help: 'Changed subjects that were brought to Redis, refills not among them',
      })
      .at();
    this.#refills = metrics.counter({
      name: 'tradewind_ratings_refills_total',
      help: 'Times that Redis was filled from PostgreSQL, by how that ended',
      labels: ['outcome'],
    });
    for (const end of ENDS) this.#refills.at(end);
  }

  fromPostgres(reason: Reason, subjects: number): void {
    this.#fromPostgres[reason].add(subjects);
  }

  refilled(end: RefillEnd): void {
    this.#refills.at(end).add();
  }
}

/** Counted up to here; whoever has more knows that it is too many. */
const MANY = 100_000;

/** What Redis lacks. Where nobody projects, nothing is due, whatever is left from a time when somebody did. */
export const projectionGauges: DatabaseGauges = {
  sql: `
    SELECT count(*)::int AS due, coalesce(extract(epoch FROM clock_timestamp() - min(since))::float8, 0) AS age FROM (
      SELECT since FROM projection_due WHERE (SELECT wanted_until > now() FROM projection) ORDER BY since LIMIT ${MANY}) AS due`,
  gauges: {
    due: {
      name: 'tradewind_ratings_due_subjects',
      help: `Subjects whose newest counts Redis does not have yet, up to ${MANY}`,
    },
    age: {
      name: 'tradewind_ratings_oldest_due_age_seconds',
      help: 'Since when the oldest of them is due; 0 when there is none',
    },
  },
};
