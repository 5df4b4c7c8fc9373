import type { Database } from '@tradewind/database/database';
import type { About, Metrics } from '@tradewind/telemetry/metrics';
import { Asked, type AskedOptions } from './asked.ts';

/**
 * Gauges that one statement answers: one row, with a column for each by its name. It is asked every few seconds in every process of the service,
 * so it must be cheap however much there is: count to a bound.
 */
export interface DatabaseGauges {
  readonly sql: string;
  readonly gauges: Readonly<Record<string, Omit<About, 'labels'>>>;
}

/** Counted up to here; whoever has more knows that it is too many. */
const MANY = 100_000;

/** Of the tables that every service has. Who relays by Debezium keeps facts for a while: then the outbox says nothing of what is late. */
export const messagingGauges = (group: string, relays: boolean): DatabaseGauges => ({
  sql: `
    SELECT (SELECT count(*)::int FROM (SELECT FROM outbox LIMIT ${MANY}) AS facts) AS depth,
      coalesce((SELECT extract(epoch FROM clock_timestamp() - created_at)::float8 FROM outbox ORDER BY position LIMIT 1), 0) AS age,
      (SELECT count(*)::int FROM (SELECT FROM held_line WHERE consumer_group = ${literal(group)} LIMIT ${MANY}) AS lines) AS keys,
      count(*)::int AS events, coalesce(extract(epoch FROM clock_timestamp() - min(held_at))::float8, 0) AS waiting
    FROM (SELECT held_at FROM held_event WHERE consumer_group = ${literal(group)} LIMIT ${MANY}) AS held`,
  gauges: {
    ...(relays && outboxGauges),
    keys: { name: 'tradewind_held_keys', help: 'Keys in retry' },
    events: {
      name: 'tradewind_held_events',
      help: 'Events in retry, and those of their keys that wait for them',
    },
    waiting: {
      name: 'tradewind_held_oldest_age_seconds',
      help: 'How long the oldest of them waits; 0 without any',
    },
  },
});

const outboxGauges: DatabaseGauges['gauges'] = {
  depth: { name: 'tradewind_outbox_depth', help: `Facts that are not on the log yet, up to ${MANY}` },
  age: {
    name: 'tradewind_outbox_oldest_age_seconds',
    help: 'Age of the oldest of them; 0 when there is none',
  },
};

const literal = (text: string) => `'${text.replaceAll("'", "''")}'`;

/** Adds gauges, and answers the question behind them. What the database does not answer in time is not told. */
export function addGauges(
  metrics: Metrics,
  { pool }: Pick<Database, 'pool'>,
  { sql, gauges }: DatabaseGauges,
  options: AskedOptions,
): Asked<Record<string, unknown> | undefined> {
  const asked = new Asked(async () => (await pool.query<Record<string, unknown>>(sql)).rows[0], options);
  for (const [column, about] of Object.entries(gauges)) {
    metrics.gauge(about, async () => {
      const value = (await asked.get())?.[column];
      return typeof value === 'number' ? [{ value }] : [];
    });
  }
  return asked;
}

/** Adds what the pool of connections knows of itself. */
export function addPoolGauges(metrics: Metrics, { pool }: Pick<Database, 'pool'>): void {
  metrics.gauge(
    {
      name: 'tradewind_database_connections',
      help: 'Connections of the pool, by what they do',
      labels: ['state'],
    },
    () => [
      { value: pool.totalCount - pool.idleCount, labels: ['busy'] },
      { value: pool.idleCount, labels: ['idle'] },
    ],
  );
  const limit = { name: 'tradewind_database_connections_max', help: 'Connections that the pool may have' };
  metrics.gauge(limit, () => [{ value: pool.options.max ?? 10 }]);
  const waiting = {
    name: 'tradewind_database_waiting',
    help: 'Work that waits for a connection of the pool',
  };
  metrics.gauge(waiting, () => [{ value: pool.waitingCount }]);
}
