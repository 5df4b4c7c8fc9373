import {
  OrderCanceledSchema,
  OrderConfirmedSchema,
  OrderCreatedSchema,
} from '@tradewind/contracts/order/v1/events';
import { OrderStatus as Status } from '@tradewind/contracts/order/v1/order';
import {
  ProductCreatedSchema,
  ProductDeletedSchema,
  ProductUpdatedSchema,
} from '@tradewind/contracts/product/v1/events';
import { StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import { topicOf } from '@tradewind/messaging/contract';
import { cleanOnce, inboxChores } from '@tradewind/messaging/housekeeping';
import { createLogger } from '@tradewind/telemetry/logger';
import { append, behind, deadLettersOf, eventsOf, recordOf } from '@tradewind/testing/events';
import type { TestService } from '@tradewind/testing/service';
import { v7 } from 'uuid';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { service as orderService } from '../services/order/service.ts';
import { service as stockService } from '../services/stock/service.ts';
import { type Saga, startSaga } from './running-saga.ts';

const products = [ProductCreatedSchema, ProductUpdatedSchema, ProductDeletedSchema];
const topicsOf = ({ subscriptions }: typeof orderService | typeof stockService) =>
  subscriptions.map(({ topic }) => topic);

/** Everything that the services know, but for the times of their bookkeeping. */
async function stateOf({ order, stock }: Pick<Saga, 'order' | 'stock'>) {
  const ask = async ({ database }: TestService, sql: string) => (await database.pool.query(sql)).rows;
  return {
    orders: await ask(
      order,
      'SELECT id, status, reason, lines, revision, updated_at FROM orders ORDER BY id',
    ),
    stock: await ask(stock, 'SELECT * FROM stock ORDER BY product_id'),
    movements: await ask(stock, 'SELECT * FROM movement ORDER BY cause_id, cause, product_id'),
    reservations: await ask(stock, 'SELECT * FROM reservation ORDER BY order_id'),
  };
}

/** All of a life: filled, too large, canceled before and after, a stranger's, of products that change and go. */
async function live(saga: Saga): Promise<void> {
  const { log } = saga.order;
  for (const productId of [1, 2, 3]) {
    await append(log, recordOf(ProductCreatedSchema, { productId, name: 'Desk', revision: 1n }));
    await saga.put(productId, 20);
  }
  await append(log, recordOf(ProductUpdatedSchema, { productId: 2, name: 'Oak desk', revision: 2n }));
  const kept = await saga.place([1, 2], [2, 3]);
  const back = await saga.place([1, 4]);
  const large = await saga.place([1, 100]);
  const gone = await saga.place([3, 5]);
  await saga.settled(kept, Status.CONFIRMED);
  await saga.settled(back, Status.CONFIRMED);
  await saga.settled(large, Status.CANCELED);
  await saga.settled(gone, Status.CONFIRMED);
  await saga.cancel(back);
  await saga.cancel(await saga.place([2, 1]));
  const [stranger, early] = [v7(), v7()];
  const lines = [{ productId: 2, quantity: 4 }];
  await append(
    log,
    recordOf(OrderCreatedSchema, { orderId: stranger, lines, revision: 1n }),
    recordOf(OrderCanceledSchema, { orderId: early, reason: 'early', revision: 2n }),
    recordOf(ProductDeletedSchema, { productId: 3, revision: 2n }),
  );
  await saga.atRest();
  await append(log, recordOf(OrderCreatedSchema, { orderId: early, lines, revision: 1n }));
  await saga.settled(await saga.place([3, 1]), Status.CANCELED);
  await saga.atRest();
  await expect.poll(() => behind(log, 'stock', ...products)).toBe(0);
}

test('after an offset reset yesterday’s events change nothing, also when the inbox has forgotten them', async () => {
  await using saga = await startSaga();
  const { order, stock } = saga;
  await live(saga);
  await saga.atRest();
  const before = await stateOf(saga);
  expect(before.movements.length).toBeGreaterThanOrEqual(10);
  const told = async () => [
    (await eventsOf(order.log, OrderConfirmedSchema)).length,
    new Set((await eventsOf(order.log, OrderCanceledSchema)).map(({ orderId }) => orderId)).size,
  ];
  const toldBefore = await told();
  await Promise.all([order.stop(), stock.stop()]);
  for (const { database } of [order, stock]) {
    await database.pool.query(`UPDATE inbox SET handled_at = handled_at - interval '15 days'`);
    const chores = inboxChores(14 * 24 * 3_600_000);
    const { signal } = new AbortController();
    const logger = createLogger({ service: 'test', level: 'silent' });
    expect(Object.values(await cleanOnce({ database, chores, logger, signal }))[0]).toBeGreaterThan(5);
  }
  await order.log.rewind('order', topicsOf(orderService));
  await order.log.rewind('stock', topicsOf(stockService));
  expect(await behind(order.log, 'stock', OrderCreatedSchema, ...products)).toBeGreaterThan(10);
  const at = { logUrl: order.logUrl };
  await using again = await startSaga({
    order: { ...at, databaseUrl: order.databaseUrl },
    stock: { ...at, databaseUrl: stock.databaseUrl },
  });
  await again.atRest();
  await expect.poll(() => behind(order.log, 'stock', ...products)).toBe(0);
  expect(await stateOf(saga)).toEqual(before);
  expect(await saga.unbalanced()).toEqual([]);
  expect(await told()).toEqual(toldBefore);
  for (const { schema } of [orderService, stockService].flatMap(({ subscriptions }) => subscriptions))
    expect(await deadLettersOf(order.log, schema)).toEqual([]);
});

let saga: Saga;
beforeAll(async () => {
  saga = await startSaga();
});
afterAll(() => saga?.[Symbol.asyncDispose]());

test('a bare JSON message without headers on order.created is an order that nobody knows: answered, canceled, and its goods go back', async () => {
  await saga.put(51, 5);
  const orderId = v7();
  const order = { order_id: orderId, lines: [{ product_id: 51, quantity: 2 }], note: 'from elsewhere' };
  const value = Buffer.from(JSON.stringify(order));
  const bare = { topic: topicOf(OrderCreatedSchema).name, key: null, value, headers: {} };
  await append(saga.order.log, bare, { ...bare, key: orderId }, { ...bare, key: 'of its own' });
  const reserved = async () =>
    (await eventsOf(saga.order.log, StockReservedSchema)).filter((event) => event.orderId === orderId);
  await expect.poll(async () => (await reserved()).length).toBeGreaterThanOrEqual(1);
  expect((await reserved())[0]).toMatchObject({ lines: [{ productId: 51, quantity: 2n }] });
  const canceled = async () =>
    (await eventsOf(saga.order.log, OrderCanceledSchema)).filter((event) => event.orderId === orderId);
  await expect
    .poll(canceled)
    .toContainEqual(expect.objectContaining({ reason: 'unknown order', revision: 0n }));
  await saga.atRest();
  expect(await saga.left(51)).toBe(5);
  const { rows } = await saga.stock.database.pool.query(
    'SELECT cause, delta::int FROM movement WHERE cause_id = $1 ORDER BY cause DESC',
    [orderId],
  );
  expect(rows).toEqual([
    { cause: 'order', delta: -2 },
    { cause: 'cancellation', delta: 2 },
  ]);
  expect(await deadLettersOf(saga.order.log, OrderCreatedSchema)).toEqual([]);
});

test('garbage is a dead letter, and the next message is handled at once', async () => {
  await saga.put(52, 5);
  const orderId = v7();
  const topic = topicOf(OrderCreatedSchema).name;
  const garbage = [Buffer.from('{{{'), Buffer.from([0xff, 0xfe, 0]), Buffer.from('[]'), null].map(
    (value) => ({
      topic,
      key: orderId,
      value,
      headers: {},
    }),
  );
  const good = recordOf(OrderCreatedSchema, {
    orderId,
    lines: [{ productId: 52, quantity: 1 }],
    revision: 1n,
  });
  await append(saga.order.log, ...garbage, good);
  await expect
    .poll(async () =>
      (await eventsOf(saga.order.log, StockReservedSchema)).some((event) => event.orderId === orderId),
    )
    .toBe(true);
  await expect
    .poll(async () =>
      (await deadLettersOf(saga.order.log, OrderCreatedSchema)).map(({ headers }) => headers.dlq_reason),
    )
    .toEqual(Array(4).fill('undecodable'));
});

test('what is told of a product after its deletion, or before its creation, neither revives nor doubles it', async () => {
  const { log, database } = { ...saga.order, ...saga.stock };
  const hear = async (...records: Parameters<typeof append>[1][]) => {
    await append(log, ...records);
    await expect.poll(() => behind(log, 'stock', ...products)).toBe(0);
  };
  await hear(recordOf(ProductDeletedSchema, { productId: 53, revision: 4n }));
  await hear(recordOf(ProductCreatedSchema, { productId: 53, revision: 1n }));
  await hear(recordOf(ProductUpdatedSchema, { productId: 53, revision: 3n }));
  const lines = [{ productId: 53, quantity: 1, unitPrice: 1n }];
  const { order } = await saga.orders.createOrder({ lines });
  await saga.settled(order?.id ?? '', Status.CANCELED);
  expect((await saga.show(order?.id ?? '')).reason).toBe('unknown product 53');
  const { rows } = await database.pool.query(
    'SELECT deleted, product_revision FROM stock WHERE product_id = 53',
  );
  expect(rows).toEqual([{ deleted: true, product_revision: '4' }]);
});
