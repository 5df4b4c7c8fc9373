import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { OrderService } from '@tradewind/contracts/order/v1/order';
import { startEmbeddedPostgres } from '@tradewind/database/embedded';
import { cleanOnce, outboxChores } from '@tradewind/messaging/housekeeping';
import { createClient } from '@tradewind/rpc/client';
import { createLogger } from '@tradewind/telemetry/logger';
import { eventsOf } from '@tradewind/testing/events';
import { freePort } from '@tradewind/testing/port';
import { startService } from '@tradewind/testing/service';
import { Client } from 'pg';
import { expect, test } from 'vitest';
import { service as orderService } from '../services/order/service.ts';

const page = await readFile(new URL('../docs/debezium.md', import.meta.url), 'utf8');
const { config }: { config: Record<string, string> } = JSON.parse(
  /```json\n([\s\S]*?)```/.exec(page)?.[1] ?? '{}',
);
const option = (name: string) => config[`transforms.outbox.${name}`] ?? '';
const additional = option('table.fields.additional.placement')
  .split(',')
  .map((one) => one.split(':') as [column: string, place: string, name: string]);

test('the outbox has the columns that the router is told of, in types that it takes', async () => {
  await using order = await startService(orderService, { listen: false });
  const { rows } = await order.database.pool.query<{ name: string; type: string }>(
    `SELECT column_name AS name, data_type AS type FROM information_schema.columns WHERE table_name = 'outbox'`,
  );
  const types = Object.fromEntries(rows.map(({ name, type }) => [name, type]));
  expect({
    id: types[option('table.field.event.id')],
    key: types[option('table.field.event.key')],
    payload: types[option('table.field.event.payload')],
    route: types[option('route.by.field')],
  }).toEqual({ id: 'uuid', key: 'text', payload: 'bytea', route: 'text' });
  for (const [column, place] of additional) {
    expect(Object.keys(types)).toContain(column);
    expect(place).toBe('header');
    expect(['uuid', 'text', 'timestamp with time zone']).toContain(types[column]);
  }
  // What is neither routed nor placed is named by the page.
  const used = ['payload', 'aggregatetype', ...additional.map(([column]) => column)];
  expect(
    Object.keys(types)
      .filter((name) => !used.includes(name))
      .toSorted(),
  ).toEqual(['headers', 'position']);
  expect(page).toContain('`position` bigint, `headers` jsonb');
});

test('without a relay facts stay, are read from the write-ahead log as they were inserted, and go by age', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'tradewind-debezium-'));
  const settings = { wal_level: 'logical' };
  await using server = await startEmbeddedPostgres({ dataDir, port: await freePort(), settings });
  const admin = new Client({ connectionString: server.url('postgres') });
  await admin.connect();
  await admin.query('CREATE DATABASE orders');
  await admin.end();
  await using order = await startService(orderService, {
    databaseUrl: server.url('orders'),
    env: { RELAY: 'false' },
  });
  const { pool } = order.database;
  await pool.query(`SELECT pg_create_logical_replication_slot('router', 'test_decoding')`);
  await using client = createClient(OrderService, { baseUrl: order.url });
  const lines = [{ productId: 1, quantity: 2, unitPrice: 100n }];
  const { order: placed } = await client.call.createOrder({ lines });
  const id = placed?.id ?? '';
  await client.call.cancelOrder({ id });
  const { rows: kept } = await pool.query('SELECT * FROM outbox ORDER BY position');
  expect(kept.map((row) => [row.aggregatetype, row.aggregateid])).toEqual([
    ['order.created', id],
    ['order.canceled', id],
  ]);
  await pool.query(`UPDATE orders SET customer_id = customer_id`);
  const changes = async () => {
    const { rows } = await pool.query<{ data: string }>(
      `SELECT data FROM pg_logical_slot_get_changes('router', NULL, NULL) WHERE data LIKE 'table public.outbox:%'`,
    );
    return rows.map(({ data }) => data);
  };
  const inserted = await changes();
  expect(inserted).toHaveLength(2);
  for (const [n, change] of inserted.entries()) {
    const row = kept[n];
    expect(change).toMatch(/^table public\.outbox: INSERT:/);
    expect(change).toContain(`id[uuid]:'${row.id}'`);
    expect(change).toContain(`aggregatetype[text]:'${row.aggregatetype}'`);
    expect(change).toContain(`aggregateid[text]:'${id}'`);
    expect(change).toContain(`type[text]:'${row.type}'`);
    expect(change).toContain(`source[text]:'order'`);
    expect(change).toContain(`content_type[text]:'application/json'`);
    expect(change).toContain(`payload[bytea]:'\\x${row.payload.toString('hex')}'`);
  }
  expect(await eventsOf(order.log, OrderCreatedSchema)).toEqual([]);
  // By age, from the oldest on; nothing but deletions, which the router ignores.
  const clean = () =>
    cleanOnce({
      database: order.database,
      chores: outboxChores(3_600_000),
      logger: createLogger({ service: 'test', level: 'silent' }),
      signal: new AbortController().signal,
    });
  expect(await clean()).toEqual({});
  await pool.query(
    `UPDATE outbox SET created_at = created_at - interval '2 hours' WHERE aggregatetype = 'order.created'`,
  );
  await changes();
  expect(await clean()).toEqual({ outbox: 1 });
  expect(await changes()).toMatchObject([expect.stringMatching(/^table public\.outbox: DELETE:/)]);
  await order.stop();
  await rm(dataDir, { recursive: true, force: true, maxRetries: 5 }).catch(() => undefined);
});
