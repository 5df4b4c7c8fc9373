import { expect, test } from 'vitest';
import { delay, fullJitter } from '../backoff.ts';
import { Waits, waitFor } from '../wait-for.ts';

const quick = { baseMs: 1, capMs: 2 };

function recorder() {
  const lines: string[] = [];
  const note = (_: object, line: string) => void lines.push(line);
  return { lines, logger: { info: note, warn: note } as unknown as Parameters<typeof waitFor>[0]['logger'] };
}

test('what is there is not waited for, and nothing is said', async () => {
  const { lines, logger } = recorder();
  const waits = new Waits();
  await waitFor({
    name: 'database',
    probe: async () => undefined,
    signal: new AbortController().signal,
    logger,
    waits,
  });
  expect(lines).toEqual([]);
  expect(waits.pending()).toEqual([]);
});

test('what is missing is tried again, named meanwhile, and said at once but not each time', async () => {
  const { lines, logger } = recorder();
  const waits = new Waits();
  let tries = 0;
  let seen: readonly string[] = [];
  const probe = async () => {
    seen = waits.pending().map(({ name, reason }) => `${name}: ${reason}`);
    if (++tries < 20) throw new Error('connection refused');
  };
  await waitFor({
    name: 'database',
    probe,
    signal: new AbortController().signal,
    logger,
    waits,
    backoff: quick,
  });
  expect(tries).toBe(20);
  expect(seen).toEqual(['database: connection refused']);
  expect(lines).toEqual(['waiting for database', 'database is there']);
  expect(waits.pending()).toEqual([]);
});

test('the log is told again after a while', async () => {
  const { lines, logger } = recorder();
  let tries = 0;
  const probe = async () => {
    if (++tries < 4) throw new Error('no');
  };
  await waitFor({
    name: 'x',
    probe,
    signal: new AbortController().signal,
    logger,
    backoff: quick,
    logEveryMs: 0,
  });
  expect(lines).toEqual([...Array(3).fill('waiting for x'), 'x is there']);
});

test('a probe that never answers is named from the start, given up, and tried again', async () => {
  const { logger } = recorder();
  const waits = new Waits();
  let tries = 0;
  let seen: string | undefined;
  const probe = () => {
    seen = waits.pending()[0]?.reason;
    return ++tries < 3 ? new Promise<void>(() => undefined) : Promise.resolve();
  };
  const done = waitFor({
    name: 'x',
    probe,
    signal: new AbortController().signal,
    logger,
    waits,
    backoff: quick,
    probeTimeoutMs: 20,
  });
  expect(seen).toBe('not tried yet');
  await done;
  expect(tries).toBe(3);
  expect(seen).toBe('no answer within 20 ms');
});

test.each(['between probes', 'within a probe'])(
  'an abort %s ends it at once with its reason',
  async (when) => {
    const { logger } = recorder();
    const controller = new AbortController();
    const waits = new Waits();
    const probe = () =>
      when === 'between probes' ? Promise.reject(new Error('no')) : new Promise<void>(() => undefined);
    const backoff = { baseMs: 60_000, capMs: 60_000, random: () => 0.99 };
    const done = waitFor({ name: 'x', probe, signal: controller.signal, logger, waits, backoff });
    const reason = new Error('stopped');
    setTimeout(() => controller.abort(reason), 20);
    await expect(done).rejects.toBe(reason);
    expect(waits.pending()).toEqual([]);
  },
);

test('full jitter fills everything from zero to the doubling bound, and the bound has a cap', () => {
  const bound = (attempt: number) => fullJitter(attempt, { baseMs: 100, capMs: 2_000, random: () => 1 });
  expect([0, 1, 2, 3, 4, 5, 1_000].map(bound)).toEqual([100, 200, 400, 800, 1_600, 2_000, 2_000]);
  expect(fullJitter(3, { baseMs: 100, capMs: 2_000, random: () => 0 })).toBe(0);
});

test('a delay ends early with the reason of its signal, also of one that was aborted before', async () => {
  const reason = new Error('stopped');
  await expect(delay(60_000, AbortSignal.abort(reason))).rejects.toBe(reason);
  const controller = new AbortController();
  const waiting = delay(60_000, controller.signal);
  controller.abort(reason);
  await expect(waiting).rejects.toBe(reason);
});
