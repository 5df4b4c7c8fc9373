import {
  OrderCanceledSchema,
  OrderConfirmedSchema,
  OrderCreatedSchema,
} from '@tradewind/contracts/order/v1/events';
import { openDatabase } from '@tradewind/database/database';
import { migrateUp } from '@tradewind/database/migrate';
import { on } from '@tradewind/messaging/subscription';
import { messagingSteps } from '@tradewind/messaging/tables';
import { commonSettings, defineService } from '@tradewind/service/define';
import { append, behind, recordOf } from '@tradewind/testing/events';
import { type Scrape, scrape } from '@tradewind/testing/metrics';
import { freePort } from '@tradewind/testing/port';
import { createDatabase } from '@tradewind/testing/postgres';
import { startService } from '@tradewind/testing/service';
import { Client } from 'pg';
import { v7 } from 'uuid';
import { expect, test } from 'vitest';

const NOW = { METRICS_KEEP: '0ms' };
const line = { productId: 1, quantity: 1, unitPrice: 1n, totalPrice: 1n };

/** An order.created whose handling fails so many times. */
const failures = new Map<string, number>();
function created(fails = 0, orderId = v7()) {
  failures.set(orderId, fails);
  return recordOf(OrderCreatedSchema, {
    orderId,
    lines: [line],
    totalPrice: 1n,
    currency: 'USD',
    revision: 1n,
  });
}

const definition = defineService({
  name: 'ledger',
  version: '0.0.0',
  settings: commonSettings(0),
  schema: { entities: [], steps: messagingSteps },
  tells: [OrderConfirmedSchema],
  subscriptions: [
    on(OrderCreatedSchema, {
      load: async () => ({ save: async () => undefined }),
      apply({ orderId }, _rows, publish) {
        const left = failures.get(orderId) ?? 0;
        failures.set(orderId, left - 1);
        if (left > 0) throw new Error('not yet');
        publish(OrderConfirmedSchema, { orderId, revision: 2n });
      },
    }),
    on(OrderCanceledSchema, { load: async () => ({ save: async () => undefined }), apply: () => undefined }),
  ],
  routes: () => [],
});

const TOPIC = { topic: 'order.created' };

/** Scrapes until a condition holds. */
async function until(url: string, holds: (scraped: Scrape) => boolean): Promise<Scrape> {
  let last: Scrape | undefined;
  await expect
    .poll(async () => {
      last = await scrape(url);
      return holds(last);
    })
    .toBe(true);
  return last as Scrape;
}

test('what can happen is told as 0 before it happens', async () => {
  await using ledger = await startService(definition, { env: NOW });
  const told = await scrape(ledger.url);
  expect(told.all('tradewind_dead_letters_total')).toMatchObject({
    'topic="order.created",reason="undecodable"': 0,
    'topic="order.created",reason="failed"': 0,
    'topic="order.canceled",reason="rejected"': 0,
    'topic="order.canceled",reason="deadly"': 0,
  });
  for (const name of [
    'tradewind_events_handled_total',
    'tradewind_events_duplicate_total',
    'tradewind_events_held_total',
    'tradewind_event_attempts_failed_total',
  ])
    expect(told.all(name)).toMatchObject({ 'topic="order.created"': 0, 'topic="order.canceled"': 0 });
  expect(told.value('tradewind_relay_facts_sent_total', { topic: 'order.confirmed' })).toBe(0);
  expect(told.value('tradewind_transaction_conflicts_total')).toBe(0);
});

test('a batch is counted by topic: handled, seen before, given up on, and what was told and sent for it', async () => {
  await using ledger = await startService(definition, { env: NOW });
  const twice = created();
  const garbage = { topic: 'order.created', key: 'k', value: Buffer.from('garbage'), headers: {} };
  const canceled = recordOf(OrderCanceledSchema, { orderId: v7(), reason: 'why', revision: 2n });
  await append(ledger.log, created(), twice, canceled, garbage, created());
  await expect.poll(() => behind(ledger.log, 'ledger', OrderCreatedSchema, OrderCanceledSchema)).toBe(0);
  await append(ledger.log, twice);
  const told = await until(
    ledger.url,
    (now) =>
      now.value('tradewind_events_duplicate_total', TOPIC) === 1 &&
      now.value('tradewind_relay_facts_sent_total', { topic: 'order.created.dlq' }) === 1,
  );
  expect(told.all('tradewind_events_handled_total')).toEqual({
    'topic="order.created"': 3,
    'topic="order.canceled"': 1,
  });
  expect(told.value('tradewind_dead_letters_total', { ...TOPIC, reason: 'undecodable' })).toBe(1);
  expect(told.all('tradewind_facts_told_total')).toEqual({
    'topic="order.confirmed"': 3,
    'topic="order.created.dlq"': 1,
  });
  await until(
    ledger.url,
    (now) => now.value('tradewind_relay_facts_sent_total', { topic: 'order.confirmed' }) === 3,
  );
  const received = { work: 'receive' };
  expect(told.value('tradewind_batch_events_sum', received)).toBe(6);
  expect(told.value('tradewind_batch_duration_seconds_sum', received)).toBeGreaterThan(0);
  expect(told.value('tradewind_handler_duration_seconds_count', TOPIC)).toBeGreaterThan(0);
  expect(told.value('tradewind_relay_append_duration_seconds_count')).toBeGreaterThan(0);
  expect(told.value('tradewind_relay_append_facts_sum')).toBe(4);
  expect(told.value('tradewind_relay_owner')).toBe(1);
});

test('attempts that fail are counted, what rolled back is not', async () => {
  await using ledger = await startService(definition, { env: { ...NOW, RETRY_ATTEMPTS: '3' } });
  const [soon, never] = [created(1), created(100)];
  await append(ledger.log, created(), soon, never, created());
  const told = await until(
    ledger.url,
    (now) =>
      now.value('tradewind_dead_letters_total', { ...TOPIC, reason: 'failed' }) === 1 &&
      now.value('tradewind_events_handled_total', TOPIC) === 3,
  );
  // Each in its batch or alone, which may be once more for the one that is held; three times for the one that was given up on.
  expect(told.value('tradewind_event_attempts_failed_total', TOPIC)).toBeGreaterThanOrEqual(3);
  expect(told.value('tradewind_events_held_total', TOPIC)).toBeGreaterThanOrEqual(1);
  expect(told.value('tradewind_facts_told_total', { topic: 'order.confirmed' })).toBe(3);
  expect(told.value('tradewind_events_duplicate_total', TOPIC)).toBe(0);
});

test('gauges show what waits: in the outbox, in retry, on the log', async () => {
  await using database = await createDatabase('ledger');
  await using held = await startService(definition, {
    databaseUrl: database.url,
    env: { ...NOW, RETRY_ATTEMPTS: '100', RETRY_BASE: '10m' },
  });
  const [bad, orderId] = [created(100), v7()];
  await append(held.log, bad, { ...created(0, orderId), key: bad.key });
  const waiting = await until(held.url, (now) => now.value('tradewind_held_events') === 2);
  expect(waiting.value('tradewind_held_keys')).toBe(1);
  expect(waiting.value('tradewind_held_oldest_age_seconds')).toBeGreaterThan(0);
  await held.stop();
  // Nobody owns the outbox, nobody listens: facts and events wait, and that is seen where it is served.
  const owner = new Client({ connectionString: database.url });
  await owner.connect();
  await owner.query('SELECT pg_advisory_lock(7420002)');
  await using serving = await startService(definition, {
    databaseUrl: database.url,
    logUrl: held.logUrl,
    listen: false,
    env: NOW,
  });
  await append(serving.log, created(), created());
  await serving.database.pool.query(
    `INSERT INTO outbox (id, aggregatetype, aggregateid, type, source, content_type, created_at)
     VALUES (gen_random_uuid(), 't', 'k', 't', 's', 'c', now() - interval '1 hour')`,
  );
  const told = await until(serving.url, (now) => now.value('tradewind_consumer_lag_records', TOPIC) === 2);
  expect(told.all('tradewind_consumer_lag_records')).toEqual({
    'topic="order.created",group="ledger"': 2,
    'topic="order.canceled",group="ledger"': 0,
    'topic="ledger.redrive",group="ledger"': 0,
  });
  expect(told.value('tradewind_outbox_depth')).toBe(1);
  expect(told.value('tradewind_outbox_oldest_age_seconds')).toBeGreaterThanOrEqual(3_600);
  expect(told.value('tradewind_relay_owner')).toBe(0);
  expect(told.value('tradewind_held_events_max')).toBe(10_000);
  await owner.end();
});

test('a process that only listens tells the same at HEALTH_PORT, and one that serves does so besides its own', async () => {
  const [listens, serves] = [await freePort(), await freePort()];
  await using listening = await startService(definition, {
    serve: false,
    env: { ...NOW, HEALTH_PORT: String(listens) },
  });
  const alone = await until(
    `http://127.0.0.1:${listens}`,
    (now) => now.value('tradewind_event_log_up') === 1,
  );
  await using serving = await startService(definition, {
    databaseUrl: listening.databaseUrl,
    logUrl: listening.logUrl,
    env: { ...NOW, HEALTH_PORT: String(serves), REUSE_PORT: 'true', PORT: String(await freePort()) },
  });
  const own = await until(`http://127.0.0.1:${serves}`, (now) => now.value('tradewind_event_log_up') === 1);
  expect([...own.families.keys()].sort()).toEqual([...alone.families.keys()].sort());
  await append(serving.log, created());
  const sum = async (...urls: string[]) =>
    (await Promise.all(urls.map(scrape)))
      .map((told) => told.value('tradewind_events_handled_total', TOPIC) ?? 0)
      .reduce((a, b) => a + b);
  await expect.poll(() => sum(`http://127.0.0.1:${listens}`, serving.url)).toBe(1);
  await expect.poll(() => sum(`http://127.0.0.1:${listens}`, `http://127.0.0.1:${serves}`)).toBe(1);
});

test('the process tells of its event loop, its heap, its garbage and its connections', async () => {
  await using ledger = await startService(definition, { env: { ...NOW, DATABASE_POOL: '7' } });
  const told = await until(
    ledger.url,
    (now) => (now.value('tradewind_database_connections', { state: 'idle' }) ?? 0) > 0,
  );
  for (const name of [
    'nodejs_eventloop_lag_p99_seconds',
    'nodejs_heap_size_used_bytes',
    'nodejs_gc_duration_seconds',
    'process_resident_memory_bytes',
    'process_cpu_seconds_total',
  ])
    expect([...told.families.keys()]).toContain(name);
  expect(told.value('tradewind_database_connections_max')).toBe(7);
  expect(told.value('tradewind_database_waiting')).toBe(0);
  expect(told.value('tradewind_database_connection_wait_seconds_count')).toBeGreaterThan(0);
});

test('without its database or its log a process tells so, and leaves out what it does not know', async () => {
  await using database = await createDatabase('ledger');
  await using log = await createDatabase('log');
  await using ledger = await startService(definition, {
    databaseUrl: database.url,
    logUrl: log.url,
    env: NOW,
  });
  const before = await until(ledger.url, (now) => now.value('tradewind_event_log_up') === 1);
  expect(before.value('tradewind_database_up')).toBe(1);
  await log[Symbol.asyncDispose]();
  const without = await until(ledger.url, (now) => now.value('tradewind_event_log_up') === 0);
  expect(without.all('tradewind_consumer_lag_records')).toEqual({});
  expect(without.value('tradewind_database_up')).toBe(1);
  await database[Symbol.asyncDispose]();
  const nothing = await until(ledger.url, (now) => now.value('tradewind_database_up') === 0);
  expect(nothing.all('tradewind_outbox_depth')).toEqual({});
  expect(nothing.all('tradewind_held_events')).toEqual({});
});

test('where Debezium relays, the outbox is not told: it keeps what was sent', async () => {
  await using server = await createDatabase('ledger');
  await using database = await openDatabase({ url: server.url, schema: definition.schema, name: 'test' });
  await migrateUp(database);
  await using ledger = await startService(definition, {
    databaseUrl: server.url,
    env: { ...NOW, RELAY: 'false' },
  });
  const told = await scrape(ledger.url);
  expect([...told.families.keys()]).not.toContain('tradewind_outbox_depth');
  expect(told.value('tradewind_held_events')).toBe(0);
  // Nor that nobody relays.
  await until(ledger.url, (now) => now.value('tradewind_event_log_up') === 1);
  expect((await scrape(ledger.url)).all('tradewind_relay_owner')).toEqual({});
});
