import { openDatabase } from '@tradewind/database/database';
import { migrateUp } from '@tradewind/database/migrate';
import { createLogger, type Logger } from '@tradewind/telemetry/logger';
import { Metrics } from '@tradewind/telemetry/metrics';
import { createDatabase } from '@tradewind/testing/postgres';
import { startRedis } from '@tradewind/testing/redis';
import { Redis as Client } from 'iovalkey';
import { expect } from 'vitest';
import { openProjection, type Projection } from '../redis/projection.ts';
import { schema } from './read-model.ts';

/** A database with the tables, and a Redis; both go with it. */
export async function openMarket(settings: Readonly<Record<string, string>> = {}) {
  await using scope = new AsyncDisposableStack();
  const { url } = scope.use(await createDatabase('ratings'));
  const redis = scope.use(await startRedis({ settings }));
  const database = scope.use(await openDatabase({ url, schema, name: 'test', poolSize: 10 }));
  await migrateUp(database);
  const client = scope.adopt(new Client(redis.url, { retryStrategy: () => 50 }), (one) => one.disconnect());
  client.on('error', () => undefined);
  const kept = scope.move();
  return {
    database,
    databaseUrl: url,
    redis,
    /** For looking into Redis, and for changing what is there. */
    client,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

export type Market = Awaited<ReturnType<typeof openMarket>>;

export interface RunningOptions {
  /** Whether it projects too; true when left out. */
  readonly works?: boolean;
  readonly redisUrl?: string;
  readonly logger?: Logger;
  readonly timeoutMs?: number;
  readonly pollMs?: number;
}

export interface Running extends Projection {
  /** What it counted so far, as Prometheus reads it. */
  metric(name: string, labels?: string): Promise<number>;
  /** Ends its worker; rejects with what that failed of. */
  stop(): Promise<void>;
}

/** A projection as a process of the service has it, with its worker. */
export function project(
  { database, redis }: Pick<Market, 'database' | 'redis'>,
  { works = true, redisUrl = redis.url, logger, timeoutMs = 1_000, pollMs }: RunningOptions = {},
): Running {
  const metrics = new Metrics('ratings');
  const projection = openProjection({
    url: redisUrl,
    timeoutMs,
    pollMs,
    database,
    logger:
      logger ??
      createLogger({ service: 'ratings', level: (process.env.TEST_LOG_LEVEL as 'info') ?? 'silent' }),
    metrics,
  });
  const stop = new AbortController();
  const ended = works
    ? projection.work(stop.signal).catch((error: unknown) => {
        if (error !== stop.signal.reason) throw error;
      })
    : Promise.resolve();
  ended.catch(() => undefined);
  const stopped = async () => {
    stop.abort();
    await ended;
  };
  return {
    ...projection,
    async metric(name, labels = '') {
      const lines = (await metrics.text())
        .split('\n')
        .filter((line) => line.startsWith(`${name}{`) && line.includes(labels));
      return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
    },
    stop: stopped,
    async [Symbol.asyncDispose]() {
      await stopped().finally(() => projection[Symbol.asyncDispose]());
    },
  };
}

/** What PostgreSQL has, as hashes of Redis: subject to value to count. */
export async function countsOf({
  database,
}: Pick<Market, 'database'>): Promise<Record<string, Record<string, string>>> {
  const { rows } = await database.pool.query<Record<string, string>>('SELECT * FROM tally');
  return Object.fromEntries(
    rows.map((row) => [
      row.subject,
      Object.fromEntries(
        [1, 2, 3, 4, 5].map((n) => [String(n), row[`count_${n}`] ?? '']).filter(([, n]) => n !== '0'),
      ),
    ]),
  );
}

/** What Redis has under our keys, field by field, without its notes. */
export async function hashesOf(client: Client): Promise<Record<string, Record<string, string>>> {
  const keys = await client.keys('ratings/*');
  return Object.fromEntries(
    await Promise.all(
      keys.map(async (key) => [key.slice('ratings/'.length), await client.hgetall(key)] as const),
    ),
  );
}

/** Waits until nothing is due and the store is complete; then Redis and PostgreSQL must be the same, subject by subject and field by field. */
export async function expectSame(market: Market): Promise<void> {
  const { client, database } = market;
  await expect
    .poll(async () => {
      const { rows } = await database.pool.query<{ due: number }>(
        'SELECT count(*)::int AS due FROM projection_due',
      );
      return { due: rows[0]?.due, marker: (await client.get('ratings-marker').catch(() => null)) !== null };
    })
    .toEqual({ due: 0, marker: true });
  const expected = await countsOf(market);
  expect(await hashesOf(client)).toEqual(expected);
  expect((await client.keys('ratings-revision/*')).length).toBe(Object.keys(expected).length);
}

/** The counts of one subject as the projection reads them, once it does. */
export async function readFrom(projection: Projection, subject: string) {
  await expect.poll(async () => (await projection.counts([subject])).has(subject)).toBe(true);
  return (await projection.counts([subject])).get(subject);
}
