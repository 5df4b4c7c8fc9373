import { StockExceededAmountSchema, StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import { append, behind, recordOf } from '@tradewind/testing/events';
import { scrape } from '@tradewind/testing/metrics';
import { v7 } from 'uuid';
import { expect, test } from 'vitest';
import { startOrder, type TestOrder } from './order-service.ts';

const NOW = { METRICS_KEEP: '0ms' };
const body = { product_id: 1, total_price: 1, total_quantity: 1 };
const place = async (order: TestOrder, headers?: Record<string, string>): Promise<string> =>
  (await order.place(body, headers)).json.id;
const settled = async (order: TestOrder) => (await scrape(order.url)).all('tradewind_sagas_settled_total');
const heard = (order: TestOrder) =>
  behind(order.log, 'order', StockReservedSchema, StockExceededAmountSchema);

const NONE = {
  'outcome="confirmed",reason=""': 0,
  'outcome="canceled",reason="out_of_stock"': 0,
  'outcome="canceled",reason="unknown_product"': 0,
  'outcome="canceled",reason="customer"': 0,
  'outcome="canceled",reason="timed_out"': 0,
  'outcome="canceled",reason="unknown_order"': 0,
};

test('sagas are counted when they start, and once when they settle, by outcome and reason, with their duration', async () => {
  await using order = await startOrder({ env: NOW });
  expect(await settled(order)).toEqual(NONE);
  const ids = await Promise.all(Array.from({ length: 6 }, () => place(order)));
  const [confirmed = '', short = '', unknown = '', canceled = '', later = '', open = ''] = ids;
  // As if it had been accepted two hours ago, by the database's clock.
  const age = `UPDATE orders SET accepted_at = accepted_at - interval '2 hours' WHERE id = ANY($1)`;
  await order.database.pool.query(age, [[confirmed, canceled, open]]);
  const reserved = recordOf(StockReservedSchema, { orderId: confirmed });
  const shortage = (productId: number, unknownProduct: boolean) => ({
    productId,
    requested: 9n,
    unknownProduct,
  });
  await append(
    order.log,
    reserved,
    reserved,
    // Stock's answer once more, under a new id: it changes nothing.
    recordOf(StockReservedSchema, { orderId: confirmed }),
    recordOf(StockReservedSchema, { orderId: later }),
    recordOf(StockExceededAmountSchema, { orderId: short, shortages: [shortage(1, false)] }),
    recordOf(StockExceededAmountSchema, {
      orderId: unknown,
      shortages: [shortage(1, false), shortage(2, true)],
    }),
    recordOf(StockReservedSchema, { orderId: v7() }),
  );
  await expect.poll(() => heard(order)).toBe(0);
  // Twice: the second time there is nothing to cancel.
  for (const id of [canceled, canceled, later])
    expect((await order.send('POST', `/api/v1/orders/${id}/cancel`)).status).toBe(200);
  const told = await scrape(order.url);
  expect(told.value('tradewind_sagas_started_total')).toBe(6);
  expect(told.all('tradewind_sagas_settled_total')).toEqual({
    'outcome="confirmed",reason=""': 2,
    'outcome="canceled",reason="out_of_stock"': 1,
    'outcome="canceled",reason="unknown_product"': 1,
    'outcome="canceled",reason="customer"': 1,
    'outcome="canceled",reason="timed_out"': 0,
    'outcome="canceled",reason="unknown_order"': 1,
  });
  expect(told.value('tradewind_sagas_undone_total')).toBe(1);
  const duration = (outcome: string) => told.value('tradewind_saga_duration_seconds_sum', { outcome });
  expect(duration('confirmed')).toBeGreaterThanOrEqual(7_200);
  expect(duration('confirmed')).toBeLessThan(14_400);
  expect(duration('canceled')).toBeGreaterThanOrEqual(7_200);
  expect(told.value('tradewind_saga_duration_seconds_count', { outcome: 'canceled' })).toBe(3);
  expect(told.value('tradewind_saga_duration_seconds_bucket', { outcome: 'confirmed', le: '3600' })).toBe(1);
  expect(told.value('tradewind_sagas_pending')).toBe(1);
  expect(told.value('tradewind_saga_oldest_pending_age_seconds')).toBeGreaterThanOrEqual(7_200);
});

test('an order that is asked for twice under one key has started once; one that is refused has not', async () => {
  await using order = await startOrder({ env: NOW });
  const key = { 'idempotency-key': 'once' };
  const ids = await Promise.all(Array.from({ length: 4 }, () => place(order, key)));
  expect(new Set([...ids, await place(order, key)]).size).toBe(1);
  expect((await order.place({ ...body, total_price: 2 }, key)).status).toBe(409);
  expect((await order.place({ ...body, total_quantity: 0 })).status).toBe(400);
  expect((await scrape(order.url)).value('tradewind_sagas_started_total')).toBe(1);
});

test('a cancel that is asked for twice under one key settles once', async () => {
  await using order = await startOrder({ env: NOW });
  const id = await place(order);
  const cancel = () =>
    order.send('POST', `/api/v1/orders/${id}/cancel`, undefined, { 'idempotency-key': 'once' });
  await Promise.all([cancel(), cancel()]);
  await cancel();
  expect(await settled(order)).toEqual({ ...NONE, 'outcome="canceled",reason="customer"': 1 });
});

test('an order that times out is settled as such, and one that is late is told again', async () => {
  await using order = await startOrder({ env: { ...NOW, ORDER_SWEEP_AFTER: '100ms', ORDER_DEADLINE: '1s' } });
  await place(order);
  await expect.poll(() => settled(order)).toEqual({ ...NONE, 'outcome="canceled",reason="timed_out"': 1 });
  const told = await scrape(order.url);
  expect(told.value('tradewind_sagas_told_again_total')).toBeGreaterThanOrEqual(1);
  expect(told.value('tradewind_saga_duration_seconds_sum', { outcome: 'canceled' })).toBeGreaterThanOrEqual(
    1,
  );
  expect(told.value('tradewind_sagas_pending')).toBe(0);
  expect(told.value('tradewind_saga_oldest_pending_age_seconds')).toBe(0);
});

test('no metric names an order, a customer or a key', async () => {
  await using order = await startOrder({ env: NOW });
  const id = await place(order, { 'idempotency-key': 'secret-key' });
  await order.place({ ...body, customer_id: 'customer-of-this-test' });
  await order.get(`/api/v1/orders/${id}`);
  await order.get(`/api/v1/orders/no-such-path/${id}`);
  const { text } = await scrape(order.url);
  expect(text).not.toContain(id);
  expect(text).not.toMatch(/customer-of-this-test|secret-key|no-such-path/);
});

test('HTTP routes and RPCs are measured by their patterns, with what became of them', async () => {
  await using order = await startOrder({ env: NOW });
  const id = await place(order);
  await order.get(`/api/v1/orders/${id}`);
  await order.get(`/api/v1/orders/${v7()}`);
  await order.get('/nowhere');
  const told = await scrape(order.url);
  const count = (route: string, status: string) =>
    told.value('tradewind_http_server_duration_seconds_count', { route, status });
  expect(count('/api/v1/orders', '201')).toBe(1);
  expect(count('/api/v1/orders/:id', '200')).toBe(1);
  expect(count('/api/v1/orders/:id', '404')).toBe(1);
  expect(count('unmatched', '404')).toBe(1);
  expect(
    told.value('tradewind_http_server_duration_seconds_sum', { route: '/api/v1/orders' }),
  ).toBeGreaterThan(0);
  const rpc = (method: string, code: string) =>
    told.value('rpc_server_duration_seconds_count', {
      method: `tradewind.order.v1.OrderService/${method}`,
      face: 'http',
      code,
    });
  expect(rpc('CreateOrder', 'OK')).toBe(1);
  expect(rpc('GetOrder', 'NOT_FOUND')).toBe(1);
});
