import { OrderCanceledSchema, OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { OrderStatus as Status } from '@tradewind/contracts/order/v1/order';
import { deadLettersOf, eventsOf } from '@tradewind/testing/events';
import { createDatabase } from '@tradewind/testing/postgres';
import { startService } from '@tradewind/testing/service';
import { Client } from 'pg';
import { expect, test } from 'vitest';
import { service as orderService } from '../services/order/service.ts';
import { sweepStep } from '../services/order/sweep.ts';
import { type Saga, startSaga } from './running-saga.ts';

const SOON = { ORDER_SWEEP_AFTER: '100ms' };
const NEVER = { ORDER_SWEEP_AFTER: '1d' };

/** Owns a service's outbox until it is disposed: nothing leaves it meanwhile. */
async function ownOutbox(databaseUrl: string): Promise<AsyncDisposable> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query('SELECT pg_advisory_lock(7420002)');
  return { [Symbol.asyncDispose]: () => client.end() };
}

const createdOf = async ({ order }: Saga, id: string) =>
  (await eventsOf(order.log, OrderCreatedSchema)).filter(({ orderId }) => orderId === id);
const canceledOf = async ({ order }: Saga, id: string) =>
  (await eventsOf(order.log, OrderCanceledSchema)).filter(({ orderId }) => orderId === id);
/** As if the order had been accepted so much earlier. */
const age = ({ order }: Saga, id: string, span: string) =>
  order.database.pool.query(
    'UPDATE orders SET accepted_at = accepted_at - $2::interval, waits_since = waits_since - $2::interval WHERE id = $1',
    [id, span],
  );

test('orders whose order.created was lost settle by the sweep', async () => {
  await using database = await createDatabase('order');
  await using owned = await ownOutbox(database.url);
  await using saga = await startSaga({ order: { databaseUrl: database.url, env: SOON } });
  await saga.put(1, 5);
  // Nothing has left yet when the facts are gone; then the way is free.
  const [small, large] = [await saga.place([1, 2], [1, 1]), await saga.place([1, 9])];
  const lose = 'DELETE FROM outbox RETURNING id';
  expect((await saga.order.database.pool.query(lose)).rowCount).toBeGreaterThanOrEqual(2);
  await owned[Symbol.asyncDispose]();
  await saga.settled(small, Status.CONFIRMED);
  await saga.settled(large, Status.CANCELED);
  expect((await saga.show(large)).reason).toMatch(/^product 1: asked 9, only [25] left$/);
  await saga.atRest();
  expect(await saga.left(1)).toBe(2);
  const [told] = await createdOf(saga, small);
  expect(told).toMatchObject({
    lines: [
      { productId: 1, quantity: 2, unitPrice: 100n, totalPrice: 200n },
      { productId: 1, quantity: 1 },
    ],
    totalPrice: 300n,
    currency: 'USD',
    revision: 1n,
  });
  expect(await saga.unbalanced()).toEqual([]);
});

test('an answer that was lost is repeated, and the goods are taken once', async () => {
  await using database = await createDatabase('stock');
  await using owned = await ownOutbox(database.url);
  await using saga = await startSaga({ order: { env: SOON }, stock: { databaseUrl: database.url } });
  await saga.put(1, 5);
  const id = await saga.place([1, 2]);
  await expect.poll(() => saga.left(1)).toBe(3);
  await saga.stock.database.pool.query('DELETE FROM outbox');
  await owned[Symbol.asyncDispose]();
  await saga.settled(id, Status.CONFIRMED);
  await saga.atRest();
  expect(await saga.left(1)).toBe(3);
});

test('what is only slow is told again, and nothing comes of it twice', async () => {
  await using saga = await startSaga({ order: { env: SOON }, stock: { listen: false } });
  await saga.put(1, 10);
  const ids = await Promise.all(Array.from({ length: 6 }, () => saga.place([1, 2])));
  for (const id of ids)
    await expect.poll(async () => (await createdOf(saga, id)).length, { timeout: 15_000 }).toBeGreaterThan(1);
  await saga.cancel(ids[0] ?? '');
  await using listening = await startSaga({
    order: { databaseUrl: saga.order.databaseUrl, logUrl: saga.order.logUrl, listen: false },
    stock: { databaseUrl: saga.stock.databaseUrl, logUrl: saga.order.logUrl },
  });
  await expect
    .poll(async () =>
      (await Promise.all(ids.map(saga.show))).filter(({ status }) => status === Status.PENDING),
    )
    .toEqual([]);
  await listening.atRest();
  const held = (await Promise.all(ids.map(saga.show))).filter(({ status }) => status === Status.CONFIRMED);
  expect(held.length).toBeGreaterThanOrEqual(4);
  expect(await saga.left(1)).toBe(10 - 2 * held.length);
  expect(await saga.unbalanced()).toEqual([]);
});

test('after the deadline an order is canceled: timed out, told once, and what it took goes back', async () => {
  await using database = await createDatabase('stock');
  await using _owned = await ownOutbox(database.url);
  await using saga = await startSaga({
    order: { env: { ORDER_SWEEP_AFTER: '1d', ORDER_DEADLINE: '300ms' } },
    stock: { databaseUrl: database.url },
  });
  await saga.put(1, 5);
  const id = await saga.place([1, 2]);
  await saga.settled(id, Status.CANCELED);
  expect(await saga.show(id)).toMatchObject({ reason: 'timed out', revision: 2n });
  await expect
    .poll(() => canceledOf(saga, id))
    .toMatchObject([{ orderId: id, reason: 'timed out', revision: 2n }]);
  await expect.poll(() => saga.left(1)).toBe(5);
});

test('several sweepers at once tell each order again once, and hold nobody up', async () => {
  await using saga = await startSaga({ order: { env: NEVER }, stock: { listen: false } });
  const ids = await Promise.all(Array.from({ length: 60 }, () => saga.place([1, 1])));
  const { database } = saga.order;
  const options = { afterMs: 60_000, deadlineMs: 86_400_000, step: 25 };
  for (const id of ids) await age(saga, id, '2 min');
  // Somebody works on one of them: it is not stuck, and nobody waits for it.
  const busy = new Client({ connectionString: saga.order.databaseUrl });
  await busy.connect();
  await busy.query('BEGIN');
  await busy.query('SELECT FROM orders WHERE id = $1 FOR UPDATE', [ids[7]]);
  const rounds = Array.from({ length: 8 }, async () => {
    for (let steps = 0; steps < 20; steps++) await sweepStep(database, options);
  });
  await Promise.all(rounds);
  await busy.query('ROLLBACK');
  await busy.end();
  const others = ids.filter((_, n) => n !== 7);
  const again = async () => {
    const counts = Map.groupBy(await eventsOf(saga.order.log, OrderCreatedSchema), ({ orderId }) => orderId);
    return others.filter((id) => counts.get(id)?.length === 2).length;
  };
  await expect.poll(again).toBe(others.length);
  expect(await createdOf(saga, ids[7] ?? '')).toHaveLength(1);
});

test('an order is told again at 1, 4, 16 … times the first wait, and a late sweeper makes up for nothing', async () => {
  await using order = await startService(orderService, { env: NEVER, listen: false });
  const { database } = order;
  const id = '01890a5d-ac96-774b-bcce-b302099a8057';
  await database.pool.query(
    `INSERT INTO orders (id, customer_id, status, lines, total_price, currency, created_at, updated_at, revision)
     VALUES ($1, '', 'PENDING', '[{"productId":1,"quantity":1,"unitPrice":1,"totalPrice":1}]', 1, 'USD', now(), now(), 1)`,
    [id],
  );
  const options = { afterMs: 60_000, deadlineMs: 86_400_000 };
  const at = async (minutes: number) => {
    // Only the clock moves: what the sweeper wrote stays as far from the acceptance as it was.
    await database.pool.query(
      `UPDATE orders SET waits_since = waits_since - accepted_at + now() - make_interval(mins => $1), accepted_at = now() - make_interval(mins => $1)`,
      [minutes],
    );
    return (await sweepStep(database, options))?.toldAgain;
  };
  const told: number[] = [];
  const minutes = [0, 1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 255, 256, 257, 1_023, 1_024, 1_025, 1_439];
  for (const minute of minutes) if ((await at(minute)) === 1) told.push(minute);
  expect(told).toEqual([1, 4, 16, 64, 256, 1024]);
  await database.pool.query('UPDATE orders SET waits_since = accepted_at');
  expect([await at(300), await at(301), await at(1_000), await at(1_024)]).toEqual([1, 0, 0, 1]);
  await at(1_440);
  const { rows } = await database.pool.query('SELECT status, reason FROM orders');
  expect(rows).toEqual([{ status: 'CANCELED', reason: 'timed out' }]);
});

test('an order that is poison for stock makes few dead letters, and settles once one of them can be handled', async () => {
  await using saga = await startSaga({
    order: { env: { ORDER_SWEEP_AFTER: '200ms' } },
    stock: { env: { RETRY_ATTEMPTS: '1' } },
  });
  await saga.put(1, 10);
  const { pool } = saga.stock.database;
  await pool.query('ALTER TABLE stock ADD CONSTRAINT poison CHECK (quantity = 10)');
  const id = await saga.place([1, 1]);
  const letters = async () => (await deadLettersOf(saga.order.log, OrderCreatedSchema)).length;
  await expect.poll(letters, { timeout: 15_000 }).toBe(2);
  const { rows } = await saga.order.database.pool.query(
    `SELECT extract(epoch FROM waits_since - accepted_at)::float AS wait FROM orders WHERE id = $1`,
    [id],
  );
  expect(rows[0]?.wait).toBeGreaterThan(0.5);
  await pool.query('ALTER TABLE stock DROP CONSTRAINT poison');
  await saga.settled(id, Status.CONFIRMED);
  expect(await letters()).toBeLessThanOrEqual(3);
  expect(await saga.left(1)).toBe(9);
});

test('while the outbox is crowded nothing is told again: facts are late because the log is away', async () => {
  await using database = await createDatabase('order');
  await using _owned = await ownOutbox(database.url);
  await using order = await startService(orderService, {
    databaseUrl: database.url,
    env: NEVER,
    listen: false,
  });
  const { pool } = order.database;
  await pool.query(
    `INSERT INTO orders (id, customer_id, status, lines, total_price, currency, created_at, updated_at, revision, waits_since)
     VALUES (gen_random_uuid(), '', 'PENDING', '[{"productId":1,"quantity":1,"unitPrice":1,"totalPrice":1}]', 1, 'USD', now(), now(), 1, now() - interval '2 min')`,
  );
  const fill = `INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, source, content_type)
    SELECT gen_random_uuid(), 'order.created', n::text, '', '', 'order', 'application/json' FROM generate_series(1, 1000) AS n`;
  await pool.query(fill);
  const options = { afterMs: 60_000, deadlineMs: 86_400_000 };
  expect(await sweepStep(order.database, options)).toBeUndefined();
  await pool.query('DELETE FROM outbox');
  expect(await sweepStep(order.database, options)).toMatchObject({ toldAgain: 1, timedOut: 0 });
});
