import { OrderStatus } from '@tradewind/contracts/order/v1/order';
import { describe, expect, test } from 'vitest';
import { audit } from '../load/audit.ts';
import { replay } from '../load/replay.ts';
import { formatAudit, formatLoad } from '../load/report.ts';
import { Market, type Misbehaviour } from './load-market.ts';

const quick = { stallMs: 300, graceMs: 300, restMs: 3_000 };

/** A market where something goes wrong, after 100 orders. */
async function marketAfterRun(faults: Misbehaviour) {
  const market = await Market.open(faults);
  const load = await replay({ ...market.addresses, limit: 100, stallMs: 300, audit: false });
  const report = await audit({ ...market.addresses, ...quick, expected: [load.expected] });
  return { market, load, report, [Symbol.asyncDispose]: () => market[Symbol.asyncDispose]() };
}

describe('the audit finds', () => {
  test('nothing where all is well', async () => {
    await using run = await marketAfterRun({});
    expect(run.report).toMatchObject({
      ok: true,
      atRest: true,
      stuck: [],
      off: [],
      orders: { total: 100, confirmed: 100 },
    });
  });

  test('a lost order, by its id', async () => {
    await using run = await marketAfterRun({ loseEvery: 25 });
    const there = new Set(run.market.orders.map(({ id }) => id));
    const lost = run.load.expected.receipts?.flatMap(({ id }) => (there.has(id) ? [] : [id])) ?? [];
    expect(lost).toHaveLength(4);
    expect(run.report.ok).toBe(false);
    expect(run.report.runs[0]?.lost.toSorted()).toEqual(lost.toSorted());
    expect(run.report.runs[0]?.missing).toHaveLength(4);
    expect(formatAudit(run.report)).toContain(lost[0]);
  });

  test('a doubled order, by the id that no answer gave', async () => {
    await using run = await marketAfterRun({ doubleEvery: 50 });
    const given = new Set(run.load.expected.receipts?.map(({ id }) => id));
    const doubles = run.market.orders.filter(({ id }) => !given.has(id)).map(({ id }) => id);
    expect(doubles).toHaveLength(2);
    expect(run.report.ok).toBe(false);
    expect(run.report.runs[0]?.surplus.toSorted()).toEqual(doubles.toSorted());
  });

  test('orders doubled by a server that forgets idempotency keys', async () => {
    await using run = await marketAfterRun({ hangUpEvery: 20, forgetsKeys: true });
    expect(run.market.orders.length).toBeGreaterThan(100);
    expect(run.report.runs[0]?.surplus).toHaveLength(run.market.orders.length - 100);
  });

  test('an order that is not as it was asked for', async () => {
    await using run = await marketAfterRun({ changeEvery: 100 });
    expect(run.report.ok).toBe(false);
    expect(run.report.runs[0]).toMatchObject({
      lost: [expect.any(String)],
      missing: [expect.any(String)],
      surplus: [expect.any(String)],
    });
  });

  test('one id given for two rows', async () => {
    await using run = await marketAfterRun({});
    const [first, second, ...others] = run.load.expected.receipts ?? [];
    if (!first || !second) throw new Error('no receipts');
    const receipts = [first, { ...second, id: first.id }, ...others];
    const report = await audit({
      ...run.market.addresses,
      ...quick,
      expected: [{ ...run.load.expected, receipts }],
    });
    expect(report.ok).toBe(false);
    expect(report.runs[0]?.repeated).toEqual([first.id]);
  });

  test('oversold stock, by product', async () => {
    await using run = await marketAfterRun({ oversellEvery: 100 });
    expect(run.report.ok).toBe(false);
    expect(run.report.off).toEqual([expect.objectContaining({ difference: expect.any(Number) })]);
    expect(run.report.off[0]?.difference).toBeGreaterThan(0);
    expect(formatAudit(run.report)).toMatch(/too many/);
  });

  test('goods that vanished, and stock below zero', async () => {
    await using market = await Market.open();
    const [one, two] = [market.goods.get(1), market.goods.get(2)];
    if (!one || !two) throw new Error('no goods');
    one.quantity -= 3;
    [two.quantity, two.putIn] = [-1, -1];
    const report = await audit({ ...market.addresses, ...quick });
    expect(report.off).toMatchObject([
      { productId: 1, difference: -3 },
      { productId: 2, left: -1 },
    ]);
  });

  test('what sells a product that stock has never heard of', async () => {
    await using run = await marketAfterRun({});
    run.market.goods.delete(1);
    const report = await audit({ ...run.market.addresses, ...quick, expected: [run.load.expected] });
    expect(report.off).toMatchObject([{ productId: 1, listed: false, putIn: 0, left: 0 }]);
  });

  test('oversold stock of a product that was deleted, and nothing when it balances', async () => {
    await using run = await marketAfterRun({});
    const asked = { ...run.market.addresses, ...quick, expected: [run.load.expected] };
    run.market.catalogue.delete(1);
    run.market.deleted.add(1);
    expect(await audit(asked)).toMatchObject({ ok: true, off: [] });
    const goods = run.market.goods.get(1);
    if (!goods) throw new Error('no goods');
    goods.quantity += 2;
    const report = await audit(asked);
    expect(report).toMatchObject({ ok: false, off: [{ productId: 1, listed: true, difference: 2 }] });
    expect(formatAudit(report)).toMatch(/product 1: .* 2 too many/);
  });

  test('orders that stay pending, by id; their goods may be taken or not', async () => {
    await using run = await marketAfterRun({ stuckEvery: 40 });
    const pending = run.market.orders
      .filter(({ status }) => status === OrderStatus.PENDING)
      .map(({ id }) => id);
    expect(pending).toHaveLength(2);
    expect(run.load.ok).toBe(false);
    expect(run.load.stuck.toSorted()).toEqual(pending.toSorted());
    expect(run.report).toMatchObject({ ok: false, off: [] });
    expect(run.report.stuck.toSorted()).toEqual(pending.toSorted());
    expect(formatLoad(run.load)).toContain(pending[0]);
  });
});

describe('the audit by itself', () => {
  test('finds runs by their tags, and demands only of those it is told that they are whole', async () => {
    await using run = await marketAfterRun({});
    const alone = await audit({ ...run.market.addresses, ...quick });
    expect(alone).toMatchObject({
      ok: true,
      runs: [{ tag: run.load.run, found: 100, expected: 100, whole: false }],
    });
    run.market.drop(1);
    const interrupted = await audit({ ...run.market.addresses, ...quick });
    expect(interrupted).toMatchObject({ ok: true, runs: [{ found: 99, missing: [expect.any(String)] }] });
    const demanded = await audit({ ...run.market.addresses, ...quick, runs: [run.load.run] });
    expect(demanded).toMatchObject({
      ok: false,
      runs: [{ whole: true, missing: [expect.stringContaining('product ')] }],
    });
  });

  test('finds an order too many in a run that it only found', async () => {
    await using run = await marketAfterRun({ doubleEvery: 100 });
    const report = await audit({ ...run.market.addresses, ...quick });
    expect(report).toMatchObject({ ok: false, runs: [{ whole: false, surplus: [expect.any(String)] }] });
  });

  test('waits for goods on their way back', async () => {
    await using run = await marketAfterRun({});
    run.market.giveBackMs = 600;
    const [order] = run.market.orders;
    if (order) run.market.cancel(order);
    const report = await audit({
      ...run.market.addresses,
      ...quick,
      graceMs: 5_000,
      expected: [run.load.expected],
    });
    expect(report).toMatchObject({ ok: true, off: [], orders: { cancelled: 1 } });
  });

  test('says so when the books never rest', async () => {
    await using market = await Market.open();
    let restless: NodeJS.Immediate | undefined;
    // On every turn of the event loop, so that it can't be missed between two calls.
    const move = () => {
      const goods = market.goods.get(1);
      if (goods) [goods.quantity, goods.putIn] = [goods.quantity + 1, goods.putIn + 1];
      restless = setImmediate(move);
    };
    move();
    try {
      const report = await audit({ ...market.addresses, ...quick, restMs: 500 });
      expect(report).toMatchObject({ ok: false, atRest: false, off: [] });
    } finally {
      clearImmediate(restless);
    }
  });

  test('names a run that is not of this file', async () => {
    await using market = await Market.open();
    await expect(audit({ ...market.addresses, ...quick, runs: ['load-1-00000000-5x1'] })).rejects.toThrow(
      /another file/,
    );
    await expect(audit({ ...market.addresses, ...quick, runs: ['nonsense'] })).rejects.toThrow(
      /not the tag of a run/,
    );
  });
});
