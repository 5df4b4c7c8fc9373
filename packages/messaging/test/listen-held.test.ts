import { discardOf, redriveOf } from '@tradewind/messaging/dead-letter';
import { heldCounts } from '@tradewind/messaging/held';
import type { ReceivedRecord } from '@tradewind/messaging/log';
import { v7 } from 'uuid';
import { expect, test } from 'vitest';
import { GROUP, type Ledger, openLedger, orderCreated, rejected } from './ledger.ts';

const customers = async (ledger: Ledger) => (await ledger.entries()).map(({ customerId }) => customerId);
const lag = async ({ log }: Ledger) =>
  (await log.lag(GROUP, ['order.created', `${GROUP}.redrive`])).reduce(
    (sum, partition) => sum + partition.lag,
    0n,
  );
const held = async ({ database }: Ledger) => (await heldCounts(database.pool, GROUP)).events;
const letters = (ledger: Ledger) => ledger.records('order.created.dlq');
const inbox = async ({ database }: Ledger) =>
  (await database.pool.query<{ state: string }>('SELECT state FROM inbox ORDER BY state')).rows.map(
    ({ state }) => state,
  );
/** Retried for as long as the test wants. */
const patient = { attempts: 1_000_000, baseMs: 5, capMs: 20 };

test('held events and their followers are rows: whoever comes next works them off in order', async () => {
  await using ledger = await openLedger();
  const [key, other] = [v7(), v7()];
  const failing = () => {
    throw new Error('not yet');
  };
  const first = ledger.start(failing, { retry: patient });
  await ledger.append(orderCreated('1', { orderId: key }), orderCreated('a', { orderId: other }));
  await expect.poll(() => held(ledger)).toBe(2);
  await ledger.append(orderCreated('2', { orderId: key }), orderCreated('3', { orderId: key }));
  await expect.poll(() => held(ledger)).toBe(4);
  await expect.poll(() => lag(ledger)).toBe(0n);
  await first.stop();
  await using _second = ledger.start();
  await ledger.append(orderCreated('4', { orderId: key }));
  await expect.poll(async () => (await customers(ledger)).toSorted()).toEqual(['1', '2', '3', '4', 'a']);
  expect((await customers(ledger)).filter((name) => name !== 'a')).toEqual(['1', '2', '3', '4']);
  await expect
    .poll(() => heldCounts(ledger.database.pool, GROUP))
    .toEqual({ lines: 0, events: 0, oldest: null });
  expect(await inbox(ledger)).toEqual(Array(5).fill('done'));
  expect(await letters(ledger)).toEqual([]);
});

test('one key that keeps failing delays no other key that was held', async () => {
  await using ledger = await openLedger();
  let healed = false;
  await using _member = ledger.start(
    ({ customerId }) => {
      if (customerId === 'bad' || !healed) throw new Error('not yet');
    },
    { retry: patient },
  );
  const others = Array.from({ length: 12 }, (_, n) => `other ${n}`);
  await ledger.append(orderCreated('bad'), ...others.map((name) => orderCreated(name)));
  await expect.poll(() => held(ledger)).toBe(13);
  healed = true;
  await expect.poll(async () => (await customers(ledger)).toSorted()).toEqual(others.toSorted());
  await expect.poll(() => held(ledger)).toBe(1);
});

test('an event that is delivered again while it is held, or afterwards, takes effect once', async () => {
  await using ledger = await openLedger();
  let broken = true;
  const hook = () => {
    if (broken) throw new Error('not yet');
  };
  const [orderId, id] = [v7(), v7()];
  const first = ledger.start(hook, { retry: patient });
  const event = orderCreated('once', { orderId, id });
  await ledger.append(event, event, orderCreated('next', { orderId }));
  await expect.poll(() => held(ledger)).toBe(2);
  await ledger.append(event);
  await expect.poll(() => lag(ledger)).toBe(0n);
  await first.stop();
  await ledger.log.rewind(GROUP, ['order.created']);
  await using _second = ledger.start(hook, { retry: patient });
  await expect.poll(() => lag(ledger)).toBe(0n);
  expect(await held(ledger)).toBe(2);
  broken = false;
  await expect.poll(() => customers(ledger)).toEqual(['once', 'next']);
  await ledger.append(event, orderCreated('last', { orderId }));
  await expect.poll(() => customers(ledger)).toEqual(['once', 'next', 'last']);
  await expect.poll(async () => (await ledger.records('order.confirmed')).length).toBe(3);
});

test('at the limit the partitions that add to the held pause, others flow, and they resume when there is room', async () => {
  await using ledger = await openLedger();
  let broken = true;
  await using _member = ledger.start(
    ({ customerId }) => {
      if (broken && customerId.startsWith('bad')) throw new Error('not yet');
    },
    { retry: patient, maxHeld: 20, maxBatch: 10 },
  );
  // One key, so one partition; and one in each of the others.
  const key = v7();
  const first = Array.from({ length: 100 }, (_, n) => orderCreated(`bad ${n}`, { orderId: key }));
  await ledger.append(...first);
  await expect.poll(() => held(ledger)).toBeGreaterThanOrEqual(20);
  const partition = (await ledger.records('order.created'))[0]?.partition;
  const others = Array.from({ length: 60 }, () => orderCreated('good'));
  await ledger.append(...others);
  const elsewhere = (await ledger.records('order.created')).filter(
    (record) => record.partition !== partition,
  );
  expect(elsewhere.length).toBeGreaterThan(0);
  const handled = async () => (await customers(ledger)).length;
  await expect.poll(handled).toBeGreaterThanOrEqual(elsewhere.length);
  const atLimit = await held(ledger);
  expect(atLimit).toBeLessThan(40);
  // However long the others go on.
  for (let rounds = 0; rounds < 10; rounds++) {
    const before = await handled();
    await ledger.append(orderCreated('good', { orderId: elsewhere[0]?.key ?? '' }));
    await expect.poll(handled).toBeGreaterThan(before);
  }
  expect(await held(ledger)).toBe(atLimit);
  expect(await lag(ledger)).toBeGreaterThan(50n);
  broken = false;
  await expect.poll(async () => (await customers(ledger)).length).toBe(170);
  const order = (await ledger.entries())
    .filter(({ orderId }) => orderId === key)
    .map(({ customerId }) => customerId);
  expect(order).toEqual(Array.from({ length: 100 }, (_, n) => `bad ${n}`));
  await expect.poll(() => lag(ledger)).toBe(0n);
});

test('however batches and the drain meet, each event of a key is handled once and in order', {
  timeout: 120_000,
}, async () => {
  await using ledger = await openLedger();
  const flaky = () => {
    if (Math.random() < 0.2) throw new Error('now and then');
  };
  const options = { retry: { attempts: 1_000_000, baseMs: 1, capMs: 3 }, maxBatch: 7 };
  await using _one = ledger.start(flaky, options);
  await using _other = ledger.start(flaky, options);
  const keys = Array.from({ length: 4 }, () => v7());
  let n = 0;
  for (let round = 0; round < 60; round++) {
    const records = keys.map((orderId) => orderCreated(String(n++), { orderId }));
    await ledger.append(...records);
    // Close to the moment at which lines are about to close.
    await expect
      .poll(async () => (await customers(ledger)).length, { interval: 1 })
      .toBeGreaterThanOrEqual(n - 6);
  }
  await expect.poll(async () => (await customers(ledger)).length, { timeout: 30_000 }).toBe(n);
  const entries = await ledger.entries();
  for (const key of keys) {
    const seen = entries.filter(({ orderId }) => orderId === key).map(({ customerId }) => Number(customerId));
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  }
  await expect.poll(() => held(ledger)).toBe(0);
  await expect.poll(async () => (await ledger.records('order.confirmed')).length).toBe(n);
  expect(await letters(ledger)).toEqual([]);
});

async function letterOf(ledger: Ledger): Promise<ReceivedRecord> {
  await expect.poll(async () => (await letters(ledger)).length).toBeGreaterThan(0);
  const [letter] = await letters(ledger);
  if (!letter) throw new Error('no letter');
  return letter;
}

test('a dead letter that is redriven while its key has a line joins the line', async () => {
  await using ledger = await openLedger();
  let healed = false;
  const orderId = v7();
  await using _member = ledger.start(
    ({ customerId }) => {
      if (healed) return;
      if (customerId === 'dead') throw rejected('not yet');
      throw new Error('not yet');
    },
    { retry: patient },
  );
  await ledger.append(orderCreated('dead', { orderId }));
  const letter = await letterOf(ledger);
  await ledger.append(orderCreated('head', { orderId }));
  await expect.poll(() => held(ledger)).toBe(1);
  await ledger.append(redriveOf(letter), redriveOf(letter));
  await expect.poll(() => held(ledger)).toBe(2);
  await expect.poll(() => lag(ledger)).toBe(0n);
  expect(await inbox(ledger)).toEqual(['held', 'held']);
  healed = true;
  await expect.poll(() => customers(ledger)).toEqual(['head', 'dead']);
  await expect.poll(() => inbox(ledger)).toEqual(['done', 'done']);
});

test('a redriven event that fails is held as any other, and dead again after its attempts', async () => {
  await using ledger = await openLedger();
  await using _member = ledger.start(() => {
    throw new Error('never');
  });
  await ledger.append(orderCreated('dead'));
  const letter = await letterOf(ledger);
  await ledger.append(redriveOf(letter));
  await expect.poll(async () => (await letters(ledger)).length).toBe(2);
  const [, again] = await letters(ledger);
  expect(again?.headers).toMatchObject({
    dlq_attempts: '3',
    dlq_origin_topic: 'order.created',
    dlq_reason: 'failed',
  });
  expect(await inbox(ledger)).toEqual(['dead']);
  await expect.poll(() => held(ledger)).toBe(0);
});

test('a discarded dead letter runs nothing, tells nothing, and never runs again', async () => {
  await using ledger = await openLedger();
  let healed = false;
  await using _member = ledger.start(() => {
    if (!healed) throw rejected('not yet');
  });
  await ledger.append(orderCreated('unwanted'));
  const letter = await letterOf(ledger);
  healed = true;
  // In one batch, in this order; the redrive comes too late.
  await ledger.append(discardOf(letter), redriveOf(letter));
  await expect.poll(() => inbox(ledger)).toEqual(['discarded']);
  await ledger.append(redriveOf(letter), orderCreated('next'));
  await expect.poll(() => customers(ledger)).toEqual(['next']);
  await expect.poll(() => lag(ledger)).toBe(0n);
  await ledger.append(discardOf(letter), orderCreated('last'));
  await expect.poll(() => customers(ledger)).toEqual(['next', 'last']);
  expect(await inbox(ledger)).toEqual(['discarded', 'done', 'done']);
  expect((await ledger.records('order.confirmed')).length).toBeLessThanOrEqual(2);
});

test('what was redriven before it is discarded has run, and stays done', async () => {
  await using ledger = await openLedger();
  let healed = false;
  await using _member = ledger.start(() => {
    if (!healed) throw rejected('not yet');
  });
  await ledger.append(orderCreated('wanted'));
  const letter = await letterOf(ledger);
  healed = true;
  await ledger.append(redriveOf(letter), discardOf(letter));
  await expect.poll(() => customers(ledger)).toEqual(['wanted']);
  await expect.poll(() => lag(ledger)).toBe(0n);
  expect(await inbox(ledger)).toEqual(['done']);
});

test('what no text column can hold is held as it is, byte for byte', async () => {
  await using ledger = await openLedger();
  let broken = true;
  const seen: ReceivedRecord[] = [];
  await using _member = ledger.start(
    () => {
      if (broken) throw new Error('half a pair \ud800 and NUL \0');
    },
    { retry: patient },
    (record) => seen.push(record),
  );
  const event = orderCreated('odd');
  const odd = { ...event, key: 'k'.repeat(5_000), headers: { ...event.headers, 'x-odd': '"\\ ünïcode 😀' } };
  const none = { ...orderCreated('no key'), key: null };
  await ledger.append(odd, none);
  await expect.poll(() => held(ledger)).toBe(2);
  broken = false;
  await expect.poll(async () => (await customers(ledger)).toSorted()).toEqual(['no key', 'odd']);
  const records = await ledger.records('order.created');
  for (const record of records)
    expect(
      seen
        .filter(({ partition, offset }) => partition === record.partition && offset === record.offset)
        .at(-1),
    ).toEqual(record);
});
