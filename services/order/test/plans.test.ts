import { StockExceededAmountSchema, StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import { append, behind, recordOf } from '@tradewind/testing/events';
import { plansOf, statementsOf } from '@tradewind/testing/plans';
import { expect, test } from 'vitest';
import { startOrder, type TestOrder } from './order-service.ts';

/** Every call and every event once. */
async function exercise(order: TestOrder): Promise<void> {
  const place = (key: string) =>
    order.place({ product_id: 1, total_price: 1, total_quantity: 1 }, { 'idempotency-key': key });
  const { id } = (await place('a')).json;
  await place('a');
  const [confirmed, canceled] = [(await place('b')).json.id, (await place('c')).json.id];
  await order.get(`/api/v1/orders/${id}`);
  for (const query of [
    '',
    'status=PENDING',
    'status=CANCELED',
    'customer_id=c-7',
    `page_token=AAAAAAAAAAAAAAAAAAAAAA`,
  ]) {
    expect((await order.get(`/api/v1/orders?${query}`)).status).toBe(200);
  }
  await order.send('POST', `/api/v1/orders/${id}/cancel`, undefined, { 'idempotency-key': 'd' });
  const shortages = [{ productId: 1, requested: 1n }];
  await append(
    order.log,
    recordOf(StockReservedSchema, { orderId: confirmed }),
    recordOf(StockExceededAmountSchema, { orderId: canceled, shortages }),
  );
  await expect.poll(() => order.row(confirmed)).toMatchObject({ status: 'CONFIRMED' });
  await expect.poll(() => order.row(canceled)).toMatchObject({ status: 'CANCELED' });
  await expect.poll(() => behind(order.log, 'order', StockReservedSchema, StockExceededAmountSchema)).toBe(0);
}

async function plans(order: TestOrder): Promise<string[]> {
  const sent = await statementsOf(() => exercise(order));
  const ours = sent.filter(
    ({ text }) => /\b(orders|idempotency_key)\b/.test(text) && /^\s*(select|insert|update)/i.test(text),
  );
  expect(ours.length).toBeGreaterThanOrEqual(11);
  return await Promise.all(
    ours.map(async (each) => `${each.text.trim()}\n→ ${await plansOf(order.database, each)}`),
  );
}

test('on a large table no statement reads all of it, not even one that was planned without its values', async () => {
  await using order = await startOrder();
  await order.database.pool.query(`
    INSERT INTO orders SELECT (lpad(to_hex(1700000000000 + n), 12, '0') || '7000' || '8' || lpad(to_hex(n), 15, '0'))::uuid,
      'c-' || n % 10000, (CASE WHEN n % 10 = 0 THEN 'CANCELED' ELSE 'CONFIRMED' END), '', '[]', n, 'USD', now(), now(), 2
    FROM generate_series(1, 200000) AS n`);
  await order.database.pool.query(`
    INSERT INTO idempotency_key SELECT 'tradewind.order.v1.OrderService/CreateOrder', 'key ' || n, '', '' FROM generate_series(1, 200000) AS n`);
  await order.database.pool.query('ANALYZE orders, idempotency_key');
  for (const plan of await plans(order)) expect(plan).not.toMatch(/Seq Scan on "?(orders|idempotency_key)/);
});

test('a statement that was planned on an empty table does not read a large one whole', async () => {
  await using order = await startOrder();
  for (const plan of await plans(order)) {
    if (/FOR UPDATE|^UPDATE|key = ANY/m.test(plan))
      expect.soft(plan).not.toMatch(/Seq Scan on "?(orders|idempotency_key)/);
  }
});
