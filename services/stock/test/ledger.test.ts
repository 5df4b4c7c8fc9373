import { type Database, openDatabase } from '@tradewind/database/database';
import { failureKind } from '@tradewind/database/failure';
import { migrateUp } from '@tradewind/database/migrate';
import { createDatabase, type TestDatabase } from '@tradewind/testing/postgres';
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Ledger, lockLedger } from '../ledger.ts';
import { addUp, Reservation } from '../reservation.ts';
import { service } from '../service.ts';
import { newStock } from '../stock.ts';

const of = (productId: number, quantity: number, deleted = false) =>
  Object.assign(newStock(productId), { quantity, putIn: quantity, deleted });
const line = (productId: number, quantity: number) => ({ productId, quantity });

describe('stock', () => {
  test('goes from hand to hand, never below zero', () => {
    const stock = of(1, 5);
    stock.take(5);
    expect(() => stock.take(1)).toThrow(RangeError);
    stock.giveBack(2);
    expect(stock).toMatchObject({ quantity: 2, putIn: 5, revision: 3 });
    expect(stock.adjust(-3)).toBe(false);
    expect(stock.adjust(-2)).toBe(true);
    expect(stock).toMatchObject({ quantity: 0, putIn: 3, revision: 4 });
  });

  test('of a deleted product is there for nobody', () => {
    const stock = of(1, 5, true);
    expect(stock.available).toBe(0);
    expect(() => stock.take(1)).toThrow(RangeError);
  });

  test.each([
    ['the first news', null, 0n, true],
    ['newer news', 1n, 2n, true],
    ['the same news', 2n, 2n, false],
    ['older news', 2n, 1n, false],
  ])('hears %s', (_, known, told, changes) => {
    const stock = Object.assign(of(1, 0), { productRevision: known });
    expect(stock.hear(told, true)).toBe(changes);
    expect(stock.deleted).toBe(changes);
  });
});

describe('a reservation', () => {
  test('gives back what it took, once', () => {
    const lines = [line(1, 2)];
    const reservation = new Reservation({ orderId: v7(), outcome: 'reserved', lines });
    expect(reservation.release()).toEqual(lines);
    expect(reservation.release()).toEqual([]);
    expect(reservation).toMatchObject({ outcome: 'released', revision: 2 });
  });

  test.each(['exceeded', 'canceled-before-created'] as const)(
    'that is %s has nothing to give back',
    (outcome) => {
      const reservation = new Reservation({ orderId: v7(), outcome });
      expect(reservation.release()).toEqual([]);
      expect(reservation).toMatchObject({ outcome, revision: 1 });
    },
  );

  test('adds up the lines of each product, in product order', () => {
    expect(addUp([line(2, 1), line(1, 3), line(2, 2_147_483_647)])).toEqual([
      line(1, 3),
      line(2, 2_147_483_648),
    ]);
  });
});

describe('two transactions at the same time', () => {
  let server: TestDatabase;
  let database: Database;
  beforeAll(async () => {
    server = await createDatabase('ledger');
    database = await openDatabase({ url: server.url, schema: service.schema, name: 'test' });
    await migrateUp(database);
    await change([1], (ledger) => ledger.adjust(ledger.addStock(1), v7(), 10));
  });
  afterAll(async () => {
    await database?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  /** A transaction that waits between looking and writing. */
  const change = (
    productIds: number[],
    work: (ledger: Ledger) => void,
    orderIds: string[] = [],
    between = Promise.resolve(),
  ) =>
    database.transaction(async (em) => {
      const ledger = await lockLedger(em, orderIds, () => productIds);
      work(ledger);
      await between;
      await ledger.save(em);
    });
  const left = async () =>
    Number((await database.pool.query('SELECT quantity FROM stock WHERE product_id = 1')).rows[0].quantity);

  test('neither of which saw the order: the second is in conflict, and runs again', async () => {
    const orderId = v7();
    const gate = Promise.withResolvers<void>();
    const looked = Promise.withResolvers<void>();
    const release = (ledger: Ledger) => {
      ledger.release(orderId);
      looked.resolve();
    };
    const cancel = change([], release, [orderId], gate.promise);
    await looked.promise;
    await change([1], (ledger) => void ledger.reserve(orderId, [line(1, 4)]), [orderId]);
    expect(await left()).toBe(6);
    gate.resolve();
    const failure = await cancel.catch((error: unknown) => error);
    expect(failureKind(failure)).toBe('conflict');
    await change([1], (ledger) => ledger.release(orderId), [orderId]);
    expect(await left()).toBe(10);
  });

  test('that make the same product known: the second is in conflict, and what was put in stays', async () => {
    const gate = Promise.withResolvers<void>();
    const looked = Promise.withResolvers<void>();
    const hear = (ledger: Ledger) => {
      ledger.hear(2, 1n, false);
      looked.resolve();
    };
    const hears = change([2], hear, [], gate.promise);
    await looked.promise;
    await change([2], (ledger) => ledger.adjust(ledger.addStock(2), v7(), 7));
    gate.resolve();
    expect(failureKind(await hears.catch((error: unknown) => error))).toBe('conflict');
    const { rows } = await database.pool.query('SELECT quantity, put_in FROM stock WHERE product_id = 2');
    expect(rows).toEqual([{ quantity: '7', put_in: '7' }]);
  });

  test('that want the last pieces wait for each other', async () => {
    const outcomes: string[] = [];
    const want = () => {
      const orderId = v7();
      return change([1], (ledger) => void outcomes.push(ledger.reserve(orderId, [line(1, 3)]).outcome), [
        orderId,
      ]);
    };
    await Promise.all(Array.from({ length: 5 }, want));
    expect(outcomes.toSorted()).toEqual(['exceeded', 'exceeded', 'reserved', 'reserved', 'reserved']);
    expect(await left()).toBe(1);
  });
});
