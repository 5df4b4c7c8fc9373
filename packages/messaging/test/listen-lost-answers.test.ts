import type { Database } from '@tradewind/database/database';
import { heldCounts } from '@tradewind/messaging/held';
import { v7 } from 'uuid';
import { expect, test } from 'vitest';
import { GROUP, type Ledger, openLedger, orderCreated } from './ledger.ts';

const customers = async (ledger: Ledger) => (await ledger.entries()).map(({ customerId }) => customerId);
const held = async ({ database }: Ledger) => (await heldCounts(database.pool, GROUP)).events;
const letters = (ledger: Ledger) => ledger.records('order.created.dlq');

/** A database that commits, once asked to, and says that the connection was lost. */
function forgetful(database: Database, lose: () => boolean): Database {
  return Object.assign(Object.create(database) as Database, {
    transaction: async (...work: Parameters<Database['transaction']>) => {
      const result = await database.transaction(...work);
      if (lose()) throw Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
      return result;
    },
  });
}

test('a commit of a held event whose answer got lost holds up nothing behind it', async () => {
  await using ledger = await openLedger();
  const key = v7();
  let healed = false;
  let lost = 0;
  const database = forgetful(ledger.database, () => healed && lost++ === 0);
  await using _member = ledger.start(
    () => {
      if (!healed) throw new Error('not yet');
    },
    { database, retry: { attempts: 1_000_000, baseMs: 5, capMs: 20 } },
  );
  await ledger.append(orderCreated('a', { orderId: key }), orderCreated('b', { orderId: key }));
  await expect.poll(() => held(ledger)).toBe(2);
  healed = true;
  await expect.poll(() => customers(ledger)).toEqual(['a', 'b']);
  expect(lost).toBeGreaterThan(0);
  expect(await letters(ledger)).toEqual([]);
});

test('who hears of commits and fails undoes none, and holds up none', async () => {
  await using ledger = await openLedger();
  const key = v7();
  let healed = false;
  await using _member = ledger.start(
    () => {
      if (!healed) throw new Error('not yet');
    },
    {
      retry: { attempts: 3, baseMs: 200, capMs: 200 },
      onCommit: () => {
        throw new Error('no room for numbers');
      },
    },
  );
  await ledger.append(orderCreated('a', { orderId: key }), orderCreated('b', { orderId: key }));
  await expect.poll(() => held(ledger)).toBe(2);
  healed = true;
  await ledger.append(orderCreated('c'));
  await expect.poll(async () => (await customers(ledger)).toSorted()).toEqual(['a', 'b', 'c']);
  expect(await held(ledger)).toBe(0);
  expect(await letters(ledger)).toEqual([]);
});
