import { describe, expect, test } from 'vitest';
import { replay } from '../load/replay.ts';
import { formatLoad } from '../load/report.ts';
import { Market } from './load-market.ts';

const short = { limit: 150, stallMs: 500 };

describe('replay', () => {
  test.each(['rest', 'grpc', 'connect'] as const)(
    'places each row once by %s, and the books agree',
    async (protocol) => {
      await using market = await Market.open();
      const report = await replay({ ...market.addresses, ...short, protocol });
      expect(report).toMatchObject({
        ok: true,
        accepted: 150,
        confirmed: 150,
        cancelled: 0,
        stuck: [],
        audit: { ok: true },
      });
      expect(market.orders).toHaveLength(150);
      expect(report.settledMs.p50).toBeGreaterThanOrEqual(4);
      expect(report.settledMs.p99).toBeLessThan(20_000);
      expect(report.clockSkewMs).toBeLessThan(5);
    },
  );

  test.each(['rest', 'grpc', 'connect'] as const)(
    '503 and cut connections neither lose nor double an order (%s)',
    async (protocol) => {
      await using market = await Market.open({ busyEvery: 5, hangUpEvery: 7 });
      const report = await replay({ ...market.addresses, ...short, protocol });
      expect(report).toMatchObject({ ok: true, accepted: 150 });
      expect(report.retries.Unavailable).toBeGreaterThan(30);
      expect(market.orders).toHaveLength(150);
    },
  );

  test('--restock leaves nine tenths of what is asked, so about a tenth is cancelled', async () => {
    await using market = await Market.open({ pieces: 3 });
    const report = await replay({ ...market.addresses, limit: 1_000, restock: 0.9 });
    expect(report.ok).toBe(true);
    expect(report.cancelled).toBeGreaterThan(40);
    expect(report.cancelled).toBeLessThan(200);
    expect(report.restocked?.products).toBe(7);
  });

  test('--rate holds the orders back', async () => {
    await using market = await Market.open();
    const report = await replay({ ...market.addresses, ...short, limit: 60, rate: 100 });
    expect(report.seconds.accepted).toBeGreaterThan(0.58);
    expect(report.acceptedPerSecond).toBeLessThan(104);
  });

  test('--repeat replays each row again', async () => {
    await using market = await Market.open();
    const report = await replay({ ...market.addresses, ...short, limit: 40, repeat: 3 });
    expect(report).toMatchObject({ ok: true, orders: 120, accepted: 120 });
  });

  test('an interrupted run stops at once, and goes on without ordering anything twice', async () => {
    await using market = await Market.open();
    const stop = new AbortController();
    let run = '';
    const options = {
      ...market.addresses,
      ...short,
      onRun: (tag: string) => {
        run = tag;
      },
    };
    const onProgress = (_: string, done: number) => done === 50 && stop.abort(new Error('enough'));
    await expect(replay({ ...options, rate: 500, signal: stop.signal, onProgress })).rejects.toThrow(
      'enough',
    );
    expect(market.orders.length).toBeLessThan(150);
    expect(await replay({ ...options, run })).toMatchObject({ ok: true, accepted: 150 });
    expect(market.orders).toHaveLength(150);
  });

  test('a service that never comes is an error after patience, not an endless wait', async () => {
    const nobody = 'http://127.0.0.1:9';
    const addresses = { orderUrl: nobody, productUrl: nobody, stockUrl: nobody };
    await expect(replay({ ...addresses, patienceMs: 200 })).rejects.toThrow(/ECONNREFUSED/);
  });

  test('orders that are not answered in time end the run and are told', async () => {
    await using market = await Market.open({ busyEvery: 1 });
    const report = await replay({ ...market.addresses, ...short, clients: 4, patienceMs: 300 });
    expect(report).toMatchObject({ ok: false, accepted: 0, audit: { ok: true } });
    expect(report.unanswered).toHaveLength(4);
    expect(formatLoad(report)).toContain('not answered (4)');
  });

  test('refused orders are told, and not tried again', async () => {
    await using market = await Market.open({ refuseEvery: 50 });
    const report = await replay({ ...market.addresses, ...short });
    expect(report).toMatchObject({ ok: false, accepted: 147, audit: { ok: true } });
    expect(report.refused).toHaveLength(3);
    expect(formatLoad(report)).toContain('HTTP 400');
  });
});
