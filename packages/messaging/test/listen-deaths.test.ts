import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { LogRecord } from '@tradewind/messaging/log';
import { v7 } from 'uuid';
import { expect, test } from 'vitest';
import { GROUP, type Ledger, openLedger, orderCreated } from './ledger.ts';
import type { ListenProcessOptions } from './listen-process.ts';

const fixture = fileURLToPath(new URL('listen-process.ts', import.meta.url));

interface Child extends AsyncDisposable {
  readonly process: ChildProcess;
  /** When it last showed that its event loop turns, in `performance.now()`; undefined before it has joined. */
  readonly seen: number | undefined;
  readonly joined: Promise<unknown>;
  readonly ended: Promise<unknown>;
  kill(): Promise<void>;
}

function startListener({ databaseUrl, logUrl }: Ledger, options: Partial<ListenProcessOptions> = {}): Child {
  const child = spawn(process.execPath, [fixture, JSON.stringify({ databaseUrl, logUrl, ...options })], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let seen: number | undefined;
  const joined = Promise.withResolvers<void>();
  child.stdout?.on('data', (data: Buffer) => {
    if (process.env.TEST_LOG_LEVEL) process.stderr.write(data);
    if (data.includes('\n')) joined.resolve();
    seen = performance.now();
  });
  const ended = once(child, 'exit');
  const kill = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  return {
    process: child,
    get seen() {
      return seen;
    },
    joined: joined.promise,
    ended,
    kill,
    [Symbol.asyncDispose]: kill,
  };
}

/** Starts a listener again whenever it has died, as a supervisor does, and kills it when its event loop stands still. */
async function supervise(
  ledger: Ledger,
  until: () => Promise<boolean>,
  options: (deaths: number) => Partial<ListenProcessOptions> = () => ({}),
) {
  let deaths = 0;
  while (!(await until())) {
    await using child = startListener(ledger, options(deaths));
    let alive = true;
    void child.ended.then(() => {
      alive = false;
    });
    await expect
      .poll(
        async () => {
          if (child.seen !== undefined && performance.now() - child.seen > PATIENCE_MS) await child.kill();
          return !alive || (await until());
        },
        { timeout: 60_000, interval: 50 },
      )
      .toBe(true);
    if (!alive) deaths++;
  }
  return deaths;
}

/** A busy machine lets a process wait for a while, too. */
const PATIENCE_MS = 4_000;
/** More by hand: TEST_KILLS=30. */
const KILLS = Number(process.env.TEST_KILLS ?? 8);

const customers = async (ledger: Ledger) => (await ledger.entries()).map(({ customerId }) => customerId);
const letters = (ledger: Ledger) => ledger.records('order.created.dlq');

/** Twenty orders with two events each, and a deadly one with a follower among them. */
function mixed(poison: string): { records: LogRecord[]; expected: string[] } {
  const keys = Array.from({ length: 20 }, () => v7());
  const records = ['first', 'second'].flatMap((turn) =>
    keys.map((orderId, n) => orderCreated(`${turn} ${n}`, { orderId })),
  );
  const orderId = v7();
  records.splice(15, 0, orderCreated(poison, { orderId }), orderCreated('follower', { orderId }));
  const expected = records.flatMap(({ value }) => {
    const { customer_id: customer } = JSON.parse(String(value)) as { customer_id: string };
    return customer === poison ? [] : [customer];
  });
  return { records, expected };
}

test.each(['kill', 'loop'])(
  'an event whose handling ends its process (%s) is a dead letter after three deaths of its own, and nothing else is harmed',
  { timeout: 180_000 },
  async (poison) => {
    await using ledger = await openLedger();
    const { records, expected } = mixed(poison);
    await ledger.append(...records);
    const deaths = await supervise(ledger, async () => (await letters(ledger)).length > 0);
    // One that nobody could blame on anybody, then three that leave its name.
    expect(deaths).toBeGreaterThanOrEqual(4);
    await using _after = startListener(ledger);
    await expect
      .poll(async () => (await customers(ledger)).toSorted(), { timeout: 60_000 })
      .toEqual(expected.toSorted());
    const handled = await customers(ledger);
    for (let n = 0; n < 20; n++)
      expect(handled.indexOf(`first ${n}`)).toBeLessThan(handled.indexOf(`second ${n}`));
    // The relay was killed as well, and may have sent it twice.
    const told = new Map((await letters(ledger)).map(({ headers }) => [JSON.stringify(headers), headers]));
    expect(told.size).toBe(1);
    expect([...told.values()][0]).toMatchObject({
      dlq_reason: 'deadly',
      dlq_attempts: '3',
      dlq_group: GROUP,
      dlq_error: expect.stringMatching(/died 3 times/),
    });
    const { rows } = await ledger.database.pool.query('SELECT FROM lone_death');
    expect(rows).toEqual([]);
  },
);

test('an event that kills while it is in retry ends likewise, and its follower goes on', {
  timeout: 180_000,
}, async () => {
  await using ledger = await openLedger();
  const orderId = v7();
  await ledger.append(
    orderCreated('fail, then kill', { orderId }),
    orderCreated('follower', { orderId }),
    orderCreated('other'),
  );
  // With its batch, then alone; from then on it is held, and kills.
  const deaths = await supervise(
    ledger,
    async () => (await letters(ledger)).length > 0,
    (before) => ({ failures: before === 0 ? 2 : 0 }),
  );
  // Others were in flight beside it, or could have been, at the first.
  expect(deaths).toBeGreaterThanOrEqual(4);
  await using _after = startListener(ledger);
  await expect
    .poll(async () => (await customers(ledger)).toSorted(), { timeout: 60_000 })
    .toEqual(['follower', 'other']);
  expect((await letters(ledger))[0]?.headers.dlq_reason).toBe('deadly');
});

test('random kills make no dead letter, and every event is handled once and in order', {
  timeout: 60_000 + KILLS * 20_000,
}, async () => {
  await using ledger = await openLedger();
  const keys = Array.from({ length: 10 }, () => v7());
  const sent: string[] = [];
  const more = async () => {
    const records = keys.map((orderId) => orderCreated(String(sent.push(orderId)), { orderId }));
    await ledger.append(...records);
  };
  for (let n = 0; n < KILLS; n++) {
    await using child = startListener(ledger, { maxBatch: 20 });
    for (let batches = 0; batches < 10; batches++) await more();
    const before = sent.length - 100;
    const after = Math.floor(Math.random() * 100);
    await child.joined;
    // Somewhere in the middle of its work, careful work included.
    await expect
      .poll(async () => (await ledger.entries()).length, { timeout: 60_000, interval: 1 })
      .toBeGreaterThan(before + after);
  }
  await using _last = startListener(ledger);
  await expect.poll(async () => (await ledger.entries()).length, { timeout: 60_000 }).toBe(sent.length);
  const entries = await ledger.entries();
  for (const key of keys) {
    const seen = entries.filter(({ orderId }) => orderId === key).map(({ customerId }) => Number(customerId));
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  }
  expect(new Set(entries.map(({ customerId }) => customerId)).size).toBe(sent.length);
  expect(await letters(ledger)).toEqual([]);
});
