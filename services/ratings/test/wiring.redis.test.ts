import { messagingSteps } from '@tradewind/messaging/tables';
import { commonSettings, defineService } from '@tradewind/service/define';
import { scrape } from '@tradewind/testing/metrics';
import { startRedis } from '@tradewind/testing/redis';
import { startService } from '@tradewind/testing/service';
import { expect, test } from 'vitest';
import { ProjectionMetrics, projectionGauges } from '../redis/projection-metrics.ts';
import { redisSettings } from '../redis/settings.ts';
import { projectCounts, projectionOf } from '../redis/wiring.ts';
import { rate, schema } from './read-model.ts';

const TALK = 'flight-of-the-gopher';

/** A service that reads counts and does nothing else. */
const service = defineService({
  name: 'counts',
  version: '1.0.0',
  settings: { ...commonSettings(0), ...redisSettings },
  schema: { entities: [], steps: [...messagingSteps, ...schema.steps] },
  tells: [],
  subscriptions: [],
  routes: () => [],
  http: (deps) => (app) => {
    app.get(
      '/counts',
      async () => (await projectionOf(deps)?.counts([TALK]))?.get(TALK)?.counts ?? 'PostgreSQL',
    );
  },
  workers: { projection: projectCounts },
  metrics: [ProjectionMetrics],
  gauges: [projectionGauges],
});

const ask = async ({ url }: { url: string }) => await (await fetch(`${url}/counts`)).text();

test('a service with REDIS_URL reads there, in each of its processes; it is ready while Redis is away; it says what waits', async () => {
  await using redis = await startRedis();
  const env = { REDIS_URL: redis.url, REDIS_TIMEOUT: '1s', METRICS_KEEP: '1ms' };
  await using one = await startService(service, { env });
  const { databaseUrl, logUrl } = one;
  await using other = await startService(service, { env, databaseUrl, logUrl, listen: false });
  await expect
    .poll(
      async () =>
        (await one.database.pool.query('SELECT FROM projection WHERE wanted_until > now()')).rowCount,
    )
    .toBe(1);
  await rate(one.database, [TALK, 5], [TALK, 4]);
  for (const process of [one, other]) await expect.poll(() => ask(process)).toBe('[0,0,0,1,1]');

  await redis.kill();
  await rate(one.database, [TALK, 5]);
  expect(await ask(other)).toBe('PostgreSQL');
  expect((await (await fetch(`${one.url}/health/ready`)).json()).status).toBe('ready');
  await expect
    .poll(async () => (await scrape(other.url)).value('tradewind_ratings_oldest_due_age_seconds'))
    .toBeGreaterThan(0);
  const told = await scrape(one.url);
  expect(told.value('tradewind_ratings_due_subjects')).toBe(1);
  expect(told.value('tradewind_ratings_refills_total', { outcome: 'complete' })).toBe(1);
  expect(told.all('tradewind_ratings_projected_total')).toEqual({ '': expect.any(Number) });
  expect(told.text).not.toContain(redis.url);
  await redis.start();
  for (const process of [one, other]) await expect.poll(() => ask(process)).toBe('[0,0,0,1,2]');
});

test('without REDIS_URL PostgreSQL is asked, and nothing is noted', async () => {
  await using one = await startService(service);
  await rate(one.database, [TALK, 5]);
  expect(await ask(one)).toBe('PostgreSQL');
  expect((await one.database.pool.query('SELECT FROM projection_due')).rowCount).toBe(0);
  await one.stop();
});
