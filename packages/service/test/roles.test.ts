import { OrderConfirmedSchema, OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { openDatabase } from '@tradewind/database/database';
import { migrateUp } from '@tradewind/database/migrate';
import { on } from '@tradewind/messaging/subscription';
import { messagingSteps } from '@tradewind/messaging/tables';
import type { Role } from '@tradewind/process/command';
import { Running } from '@tradewind/process/together';
import { Waits } from '@tradewind/process/wait-for';
import { commonSettings, defineService } from '@tradewind/service/define';
import { runRoles } from '@tradewind/service/open';
import { configOf } from '@tradewind/service/run';
import { createLogger } from '@tradewind/telemetry/logger';
import { freePort } from '@tradewind/testing/port';
import { createDatabase } from '@tradewind/testing/postgres';
import { startService } from '@tradewind/testing/service';
import { expect, test } from 'vitest';

const definition = defineService({
  name: 'ledger',
  version: '0.0.0',
  settings: commonSettings(0),
  schema: { entities: [], steps: messagingSteps },
  tells: [OrderConfirmedSchema],
  subscriptions: [
    on(OrderCreatedSchema, {
      load: async () => ({ save: async () => undefined }),
      apply: ({ orderId }, _rows, publish) => publish(OrderConfirmedSchema, { orderId, revision: 2n }),
    }),
  ],
  routes: () => [],
});

interface Readiness {
  readonly code: number;
  readonly status: string;
  readonly dependencies: Record<string, string>;
}

async function readiness(url: string): Promise<Readiness | undefined> {
  const response = await fetch(`${url}/health/ready`).catch(() => undefined);
  return response && { code: response.status, ...((await response.json()) as Omit<Readiness, 'code'>) };
}

/** Runs a role beside servers that may be away. */
async function run(role: Role, env: Record<string, string>): Promise<{ url: string } & AsyncDisposable> {
  const port = await freePort();
  const stop = new AbortController();
  const ended = runRoles({
    definition,
    config: configOf(definition, {
      env: { ...env, PORT: String(port), ...(role === 'listen' && { HEALTH_PORT: String(port) }) },
    }),
    roles: new Set([role]),
    signal: stop.signal,
    logger: createLogger({ service: 'test', level: 'silent' }),
    waits: new Waits(),
    running: new Running(),
  }).catch(() => undefined);
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
    },
  };
}

async function migrated(): Promise<{ url: string } & AsyncDisposable> {
  const server = await createDatabase('ledger');
  await using database = await openDatabase({ url: server.url, schema: definition.schema, name: 'test' });
  await migrateUp(database);
  return server;
}

const nobody = async () => `postgres://postgres@127.0.0.1:${await freePort()}/nobody`;

test('with everything there it is ready, and tells what it did with events', async () => {
  await using ledger = await startService(definition);
  await expect
    .poll(() => readiness(ledger.url))
    .toEqual({
      code: 200,
      status: 'ready',
      dependencies: { database: 'ok', schema: 'ok', 'event log': 'ok', outbox: 'ok' },
    });
  await using producer = await ledger.log.producer();
  await producer.append([{ topic: 'order.created', key: 'k', value: Buffer.from('garbage'), headers: {} }]);
  await expect
    .poll(async () => await (await fetch(`${ledger.url}/metrics`)).text())
    .toContain('tradewind_dead_letters_total{topic="order.created",reason="undecodable",service="ledger"} 1');
  expect(await (await fetch(`${ledger.url}/metrics`)).text()).toMatch(
    /^tradewind_outbox_depth\{service="ledger"\} \d+$/m,
  );
});

test('without the event log what serves is degraded, and what only listens is not ready', async () => {
  await using database = await migrated();
  const env = { DATABASE_URL: database.url, EVENT_LOG_URL: await nobody() };
  await using serving = await run('serve', env);
  await using listening = await run('listen', env);
  await expect
    .poll(() => readiness(serving.url))
    .toMatchObject({
      code: 200,
      status: 'degraded',
      dependencies: { database: 'ok', schema: 'ok', 'event log': expect.stringMatching(/ECONNREFUSED/) },
    });
  await expect
    .poll(() => readiness(listening.url))
    .toMatchObject({
      code: 503,
      status: 'unavailable',
      dependencies: { 'event log': expect.stringMatching(/ECONNREFUSED/) },
    });
});

test('without its database, or with a schema older than its own, nothing is ready, and the reason is named', async () => {
  await using log = await createDatabase('log');
  await using empty = await createDatabase('ledger');
  await using away = await run('serve', { DATABASE_URL: await nobody(), EVENT_LOG_URL: log.url });
  await using old = await run('serve', { DATABASE_URL: empty.url, EVENT_LOG_URL: log.url });
  await expect
    .poll(() => readiness(away.url))
    .toMatchObject({ code: 503, dependencies: { database: expect.stringMatching(/ECONNREFUSED/) } });
  await expect
    .poll(() => readiness(old.url))
    .toMatchObject({
      code: 503,
      dependencies: { schema: expect.stringMatching(/schema steps are missing: 0000-messaging/) },
    });
  // It goes on by itself once somebody has migrated.
  await using database = await openDatabase({ url: empty.url, schema: definition.schema, name: 'test' });
  await migrateUp(database);
  await expect
    .poll(() => readiness(old.url), { timeout: 15_000 })
    .toMatchObject({ code: 200, status: 'ready' });
});
