import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Order, OrderService, OrderStatus } from '@tradewind/contracts/order/v1/order';
import { StockService } from '@tradewind/contracts/stock/v1/stock';
import { withSettings } from '@tradewind/process/variables';
import { createClient } from '@tradewind/rpc/client';
import { type Broker, startBroker } from '@tradewind/testing/kafka';
import { freePort } from '@tradewind/testing/port';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { replay } from '../tools/load/replay.ts';
import { startOptions } from '../tools/start/options.ts';
import { type Running, startTradewind } from '../tools/start/tradewind.ts';

let scope: AsyncDisposableStack;
let broker: Broker;
let running: Running;

// What `EVENT_LOG_URL=kafka://… npm start -- --split` runs: each service twice, on a PostgreSQL and a Kafka that can be killed.
beforeAll(async () => {
  await using opening = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'tradewind-saga-kafka-'));
  opening.defer(() => rm(folder, { recursive: true, force: true }));
  broker = opening.use(await startBroker());
  const env = withSettings(process.env, { EVENT_LOG_URL: broker.url });
  const dataDir = join(folder, 'data');
  const { services } = startOptions({ dataDir }, env);
  const ports = await Promise.all(services.map(async ({ name }) => [name, await freePort()] as const));
  running = opening.use(
    await startTradewind({
      dataDir,
      env,
      split: true,
      ports: Object.fromEntries(ports),
      postgresPort: await freePort(),
    }),
  );
  scope = opening.move();
  // A hook that is given up leaves running what it had started.
}, 600_000);
afterAll(() => scope?.disposeAsync());

function urlOf(service: string): string {
  return running.addresses.serviceUrls[service] ?? '';
}

const load = (rows: number, rate?: number) =>
  replay({
    ...(rate !== undefined && { rate }),
    orderUrl: urlOf('order'),
    productUrl: urlOf('product'),
    stockUrl: urlOf('stock'),
    protocol: 'grpc',
    restock: 0.9,
    limit: rows,
  });

test('a database for each service is made, and none for the log', async () => {
  const client = new Client({ connectionString: running.addresses.databaseUrls.order });
  await client.connect();
  try {
    const { rows } = await client.query('SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1');
    expect(rows.map(({ datname }) => datname)).toEqual(['order', 'postgres', 'product', 'ratings', 'stock']);
  } finally {
    await client.end();
  }
});

test('orders are confirmed, cancelled for stock and cancelled by the customer, and the goods add up', async () => {
  await using orders = createClient(OrderService, { baseUrl: urlOf('order') });
  await using stocks = createClient(StockService, { baseUrl: urlOf('stock') });
  const productId = 1;
  const left = async () => Number((await stocks.call.getStock({ productId })).stock?.quantity);
  const place = async (quantity: number) =>
    (await orders.call.createOrder({ lines: [{ productId, quantity, unitPrice: 1n }] })).order?.id ?? '';
  const show = async (id: string): Promise<Order | undefined> => (await orders.call.getOrder({ id })).order;
  await stocks.call.setStock({ productId, quantity: 10n });
  const [kept, tooMany] = [await place(7), await place(11)];
  await expect.poll(async () => (await show(kept))?.status).toBe(OrderStatus.CONFIRMED);
  await expect.poll(async () => (await show(tooMany))?.status).toBe(OrderStatus.CANCELED);
  expect((await show(tooMany))?.reason).toMatch(/asked 11, only (3|10) left/);
  expect(await left()).toBe(3);
  await orders.call.cancelOrder({ id: kept });
  await expect.poll(left).toBe(10);
});

test('a replay ends with a clean audit', async () => {
  const report = await load(400);
  expect(report).toMatchObject({ ok: true, orders: 400, accepted: 400, stuck: [] });
  expect(report.audit).toMatchObject({ ok: true, atRest: true });
});

test('orders are accepted while the broker is away, and settle when it is back', async () => {
  await using orders = createClient(OrderService, { baseUrl: urlOf('order') });
  await broker.kill();
  const given = { lines: [{ productId: 2, quantity: 1, unitPrice: 1n }] };
  const placed = await Promise.all(Array.from({ length: 20 }, () => orders.call.createOrder(given)));
  const statuses = async () =>
    new Set(
      await Promise.all(
        placed.map(async ({ order }) => (await orders.call.getOrder({ id: order?.id ?? '' })).order?.status),
      ),
    );
  expect(await statuses()).toEqual(new Set([OrderStatus.PENDING]));
  await broker.start();
  await expect.poll(async () => (await statuses()).has(OrderStatus.PENDING), { timeout: 60_000 }).toBe(false);
  expect((await load(100)).audit?.ok).toBe(true);
}, 180_000);

test('kill -9 of every process, the broker and the database under load loses and doubles nothing', async () => {
  let over = false;
  const placing = load(1_200, 20).finally(() => {
    over = true;
  });
  const victims = Object.keys(running.pids());
  expect(victims).toEqual(
    expect.arrayContaining(['order serve', 'order listen', 'stock listen', 'postgres']),
  );
  for (const victim of victims) {
    const before = running.pids()[victim];
    running.kill(victim);
    await expect.poll(() => running.pids()[victim] ?? before, { timeout: 60_000 }).not.toBe(before);
  }
  await broker.kill();
  expect(over, 'the load ended before the last kill').toBe(false);
  await broker.start();
  const report = await placing;
  expect(report).toMatchObject({ accepted: 1_200, stuck: [] });
  expect(report.audit).toMatchObject({ ok: true });
  await running.ready();
}, 300_000);
