import { OrderCanceledSchema, OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { ProductCreatedSchema } from '@tradewind/contracts/product/v1/events';
import { append, behind, recordOf } from '@tradewind/testing/events';
import { plansOf, statementsOf } from '@tradewind/testing/plans';
import { v7 } from 'uuid';
import { expect, test } from 'vitest';
import { startStock, type TestStock } from './stock-service.ts';

/** Every call and every event once. */
async function exercise(stock: TestStock): Promise<void> {
  const productId = 900_001;
  const settled = () =>
    expect
      .poll(() => behind(stock.log, 'stock', OrderCreatedSchema, OrderCanceledSchema, ProductCreatedSchema))
      .toBe(0);
  await stock.call.setStock({ productId, quantity: 5n }, { headers: { 'idempotency-key': 'k' } });
  await stock.call.adjustStock({ productId, delta: 5n });
  await stock.call.getStock({ productId });
  await stock.call.batchGetStock({ productIds: [productId, 1] });
  await stock.call.listStock({});
  const orderId = v7();
  await append(
    stock.log,
    recordOf(OrderCreatedSchema, { orderId, lines: [{ productId, quantity: 1 }] }),
    recordOf(ProductCreatedSchema, { productId, revision: 1n }),
  );
  await settled();
  await append(stock.log, recordOf(OrderCanceledSchema, { orderId }));
  await settled();
  expect(await stock.left(productId)).toBe(10);
}

const tables = /\b(stock|reservation|movement|idempotency_key)\b/;

async function plans(stock: TestStock): Promise<string[]> {
  const sent = await statementsOf(() => exercise(stock));
  const ours = sent.filter(({ text }) => tables.test(text) && /^\s*(select|insert|update)/i.test(text));
  expect(ours.length).toBeGreaterThanOrEqual(10);
  return await Promise.all(
    ours.map(async (each) => `${each.text.trim()}\n→ ${await plansOf(stock.database, each)}`),
  );
}

const wholeTable = /Seq Scan on "?(stock|reservation|movement|idempotency_key)/;

test('on large tables no statement reads all of one, not even one that was planned without its values', async () => {
  await using stock = await startStock();
  await stock.query(
    `INSERT INTO stock (product_id, quantity, put_in, revision) SELECT n, 5, 5, 1 FROM generate_series(1, 200000) AS n`,
  );
  await stock.query(
    `INSERT INTO reservation (order_id, outcome, revision) SELECT gen_random_uuid(), 'reserved', 1 FROM generate_series(1, 200000)`,
  );
  await stock.query('ANALYZE stock, reservation');
  for (const plan of await plans(stock)) expect.soft(plan).not.toMatch(wholeTable);
});

test('a statement that was planned on empty tables does not read large ones whole', async () => {
  await using stock = await startStock();
  for (const plan of await plans(stock)) {
    if (/FOR UPDATE|^UPDATE|key = ANY/m.test(plan)) expect.soft(plan).not.toMatch(wholeTable);
  }
});
