import { OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { eventsOf } from '@tradewind/testing/events';
import { expect, test } from 'vitest';
import { startOrder } from './order-service.ts';

test('connections that die cost a 503 and a retry, never an order, a second one, or an error of ours', async () => {
  await using order = await startOrder({ listen: false });
  const answers = new Map<number, number>();
  const ids = new Set<string>();
  /** As the contract tells a client to: the same key until there is an answer. */
  const insist = async (key: string) => {
    for (;;) {
      const { status, json, headers } = await order.place(
        { product_id: 1, total_price: 100, total_quantity: 1 },
        { 'idempotency-key': key },
      );
      answers.set(status, (answers.get(status) ?? 0) + 1);
      if (status === 201) return ids.add(json.id);
      expect({ status, retryAfter: headers.get('retry-after') }).toEqual({
        status: 503,
        retryAfter: expect.any(String),
      });
    }
  };
  let placed = 0;
  const client = async (n: number) => {
    for (let i = 0; i < 25; i++) {
      await insist(`${n}/${i}`);
      placed++;
    }
  };
  const clients = Promise.all(Array.from({ length: 16 }, (_, n) => client(n)));
  for (let kills = 1; kills <= 8; kills++) {
    await expect.poll(() => placed, { interval: 5, timeout: 10_000 }).toBeGreaterThanOrEqual(kills * 40);
    await order.database.pool.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'order'`,
    );
  }
  await clients;
  expect(ids.size).toBe(400);
  expect(answers.get(503)).toBeGreaterThan(0);
  const { rows } = await order.database.pool.query('SELECT id FROM orders');
  expect(new Set(rows.map(({ id }) => id))).toEqual(ids);
  const told = async () =>
    (await eventsOf(order.log, OrderCreatedSchema)).map(({ orderId }) => orderId).toSorted();
  await expect.poll(told).toEqual([...ids].toSorted());
});
