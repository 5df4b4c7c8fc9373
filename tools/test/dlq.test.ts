import { OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { StockExceededAmountSchema, StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import { redriveTopic, topicOf } from '@tradewind/messaging/contract';
import type { LogRecord } from '@tradewind/messaging/log';
import { append, deadLettersOf, eventsOf, recordOf, recordsOf } from '@tradewind/testing/events';
import { startService, type TestService } from '@tradewind/testing/service';
import { v7 } from 'uuid';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { service as orderService } from '../../services/order/service.ts';
import { service as ratingsService } from '../../services/ratings/service.ts';
import { service as stockService } from '../../services/stock/service.ts';
import { parseDlq } from '../dlq/command-line.ts';
import { UsageError } from '../load/command-line.ts';
import { type Environment, runTool, startTool } from './tool-process.ts';

vi.setConfig({ testTimeout: 120_000 });

/** Stock as it is, on a real log; the order service's database is another's. */
let stock: TestService;
let order: TestService;
let env: Environment;
beforeAll(async () => {
  stock = await startService(stockService, { serve: false });
  order = await startService(orderService, { serve: false, listen: false, logUrl: stock.logUrl });
  env = {
    EVENT_LOG_URL: stock.logUrl,
    STOCK_DATABASE_URL: stock.databaseUrl,
    ORDER_DATABASE_URL: order.databaseUrl,
  };
});
afterAll(async () => {
  await order?.[Symbol.asyncDispose]();
  await stock?.[Symbol.asyncDispose]();
});

let scope: AsyncDisposableStack;
beforeEach(() => {
  scope = new AsyncDisposableStack();
});
afterEach(() => scope.disposeAsync());

/** Makes every reservation fail, until it is mended. */
async function breakShelf({ database }: TestService): Promise<void> {
  await database.pool.query(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the shelf is broken'; END $$`);
  await database.pool.query(
    'CREATE TRIGGER refuse BEFORE INSERT ON reservation FOR EACH ROW EXECUTE FUNCTION refuse()',
  );
}
async function mendShelf({ database }: TestService): Promise<void> {
  await database.pool.query('DROP TRIGGER refuse ON reservation');
}

const dlq = (...args: string[]) => runTool('dlq', args, env);
const created = (orderId: string, quantity = 1, id = v7()) =>
  recordOf(
    OrderCreatedSchema,
    {
      orderId,
      lines: [{ productId: 7, quantity, totalPrice: 5n }],
      totalPrice: 5n,
      currency: 'USD',
      revision: 1n,
    },
    id,
  );
/** The same with a quantity that no contract takes. */
function poisoned(orderId: string, id = v7()): LogRecord & { id: string } {
  const value = Buffer.from(
    `{"order_id":"${orderId}","lines":[{"product_id":7,"quantity":-1,"total_price":"5"}]}`,
  );
  const { headers, ...record } = created(orderId, 1, id);
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  return { ...record, value, headers: { ...headers, traceparent }, id };
}
const letters = () => deadLettersOf(stock.log, OrderCreatedSchema);
const redrives = () => recordsOf(stock.log, redriveTopic('stock'));
/** Puts poison on the log, and waits until it lies where it belongs. */
async function poison(...orderIds: string[]): Promise<{ ids: string[]; orderIds: string[] }> {
  const records = orderIds.map((orderId) => poisoned(orderId));
  await append(stock.log, ...records);
  const ids = records.map(({ id }) => id);
  const there = async () => (await letters()).map(({ headers }) => headers.ce_id);
  await expect.poll(there).toEqual(expect.arrayContaining(ids));
  return { ids, orderIds };
}
async function one(): Promise<{ id: string; orderId: string }> {
  const orderId = v7();
  const { ids } = await poison(orderId);
  return { id: ids[0] ?? '', orderId };
}
const goodPayload = (orderId: string) =>
  `{"order_id":"${orderId}","lines":[{"product_id":7,"quantity":3,"total_price":"5"}],"total_price":"5"}`;
const answersTo = async (orderId: string) => [
  ...(await eventsOf(stock.log, StockReservedSchema)).filter((event) => event.orderId === orderId),
  ...(await eventsOf(stock.log, StockExceededAmountSchema)).filter((event) => event.orderId === orderId),
];
const lastLine = (out: string) => JSON.parse(out.trim().split('\n').at(-1) ?? '');

test('list names each letter with its state, and counts the kinds', async () => {
  const { id, orderId } = await one();
  const { code, out } = await dlq('list');
  expect(code).toBe(0);
  const line = out.split('\n').find((text) => text.includes(id));
  expect(line).toMatch(/open\s+stock\s+undecodable\s+order\.created\.dlq\/0\/\d+/);
  expect(line).toContain(orderId);
  expect(line).toContain('lines');
  expect(out).toMatch(/^order\.created\s+stock\s+undecodable\s+open\s+\d+/m);
  const json = lastLine((await dlq('list', '--json', '--id', id)).out);
  expect(json.letters).toMatchObject([
    { id, group: 'stock', reason: 'undecodable', state: 'open', key: orderId },
  ]);
});

test('filters leave out what they do not mean', async () => {
  const { id } = await one();
  const found = async (...args: string[]) =>
    lastLine((await dlq('list', '--json', ...args)).out).letters.map((letter: { id: string }) => letter.id);
  expect(
    await found('--topic', 'order.created', '--group', 'stock', '--since', '1h', '--state', 'open'),
  ).toContain(id);
  expect(await found('--topic', 'order.canceled')).not.toContain(id);
  expect(await found('--group', 'order')).toEqual([]);
  expect(await found('--reason', 'failed')).not.toContain(id);
  expect(await found('--until', '2020-01-01T00:00Z')).toEqual([]);
  expect(await found('--state', 'discarded')).not.toContain(id);
});

test('show gives the payload, the error, attempts, where it came from and the trace', async () => {
  const { id, orderId } = await one();
  const { code, out } = await dlq('show', id);
  expect(code).toBe(0);
  for (const part of [
    /state +open/,
    /reason +undecodable/,
    /attempts +1/,
    /came from +order\.created\/\d\/\d+/,
    /trace +0af7651916cd43dd8448eb211c80319c/,
    new RegExp(`"order_id": "${orderId}"`),
    /ce_type +tradewind\.order\.v1\.OrderCreated/,
  ])
    expect(out).toMatch(part);
  // By the place of the letter, and by the place of the record that it was.
  const place = /lies at +(\S+)/.exec(out)?.[1] ?? '';
  const origin = /came from +(\S+)/.exec(out)?.[1] ?? '';
  expect((await dlq('show', place)).out).toBe(out);
  expect((await dlq('show', origin)).out).toBe(out);
  expect((await dlq('show', place, '--raw')).out).toBe(String(poisoned(orderId, id).value));
  expect(await dlq('show', 'nobody')).toMatchObject({ code: 1, out: '' });
});

test('what is no text is shown in hexadecimal digits, and given as it is by --raw', async () => {
  const record = created(v7());
  const id = record.headers.ce_id ?? '';
  await append(stock.log, { ...record, value: Buffer.from([0x00, 0x1b, 0x5b, 0x41]) });
  await expect.poll(async () => (await letters()).map(({ headers }) => headers.ce_id)).toContain(id);
  const { out } = await dlq('show', id);
  expect(out).toContain('000000  00 1b 5b 41');
  expect(out).not.toContain('\x1b');
});

test('a redrive runs the event again in the group that gave up, once, however often it is asked for', async () => {
  const { id, orderId } = await one();
  // It was poison and still is: the group gives up on it again.
  const again = await dlq('redrive', id);
  expect(again).toMatchObject({ code: 1 });
  expect(again.out).toMatch(/dead again/);
  await expect.poll(async () => (await letters()).filter(({ key }) => key === orderId)).toHaveLength(2);
  const newest = (await letters()).findLast(({ key }) => key === orderId);
  // One event, by its newest letter.
  expect(lastLine((await dlq('list', '--json', '--id', id)).out).letters).toMatchObject([
    { id, place: `order.created.dlq/0/${newest?.offset}`, state: 'open' },
  ]);

  const bad = await dlq(
    'redrive',
    id,
    '--value',
    goodPayload(orderId).replace('"quantity":3', '"quantity":0'),
  );
  expect(bad).toMatchObject({ code: 1, out: '' });
  expect(bad.err).toMatch(/does not fit order\.created.*quantity/s);
  expect(await answersTo(orderId)).toEqual([]);

  const corrected = await runTool('dlq', ['redrive', id, '--edit', '-'], env, goodPayload(orderId));
  expect(corrected).toMatchObject({ code: 0 });
  expect(corrected.out).toMatch(/1 handled; 1 corrected record sent/);
  await expect.poll(() => answersTo(orderId)).toMatchObject([{ orderId, shortages: [{ requested: 3n }] }]);

  const before = (await redrives()).length;
  const twice = await dlq('redrive', id, '--value', goodPayload(orderId));
  expect(twice).toMatchObject({ code: 0 });
  expect(twice.out).toMatch(/1 already handled; 0 corrected records sent/);
  expect(await redrives()).toHaveLength(before);
  expect(await answersTo(orderId)).toHaveLength(1);
  expect(lastLine((await dlq('list', '--json', '--id', id)).out).letters).toMatchObject([
    { state: 'redriven' },
  ]);
});

test('a correction that moves the event to another key, or has a field that nobody knows, is said', async () => {
  const { id, orderId } = await one();
  const other = v7();
  const payload = goodPayload(other).replace('{', '{"costumer_id":"c",');
  const { err, code } = await dlq('redrive', id, '--value', payload, '--dry-run');
  expect(code).toBe(0);
  expect(err).toMatch(/costumer_id/);
  expect(err).toContain(`the letter's key was "${orderId}"; by its new payload it is "${other}"`);
  expect(await answersTo(other)).toEqual([]);
});

test('a dry run does nothing and says what it would do', async () => {
  const { id } = await one();
  const before = (await redrives()).length;
  const { code, out } = await dlq('redrive', id, '--dry-run');
  expect(code).toBe(0);
  expect(out).toMatch(/1 would be sent; 0 records sent/);
  expect((await dlq('discard', id, '--dry-run')).out).toMatch(/1 would be sent/);
  expect(await redrives()).toHaveLength(before);
});

test('a filter redrives all that it means, no faster than asked', async () => {
  const since = new Date().toISOString();
  await poison(v7(), v7(), v7(), v7(), v7());
  const begun = performance.now();
  const { code, out } = await dlq('redrive', '--since', since, '--rate', '5', '--json');
  expect(code).toBe(1);
  expect(lastLine(out)).toMatchObject({
    sent: 5,
    letters: Array(5).fill({ outcome: 'dead again', ok: false }),
  });
  // The first goes at once, the last after four fifths of a second.
  expect(performance.now() - begun).toBeGreaterThan(800);
  const appended = (await redrives()).slice(-5).map(({ appendedAt }) => appendedAt.getTime());
  expect(Math.max(...appended) - Math.min(...appended)).toBeGreaterThan(750);
});

test('what failed for a cause that was mended since is handled when it is redriven', async () => {
  const broken = scope.use(await startService(stockService, { serve: false }));
  const its = { EVENT_LOG_URL: broken.logUrl, STOCK_DATABASE_URL: broken.databaseUrl };
  await breakShelf(broken);
  const [first, second] = [created(v7()), created(v7())];
  await append(broken.log, first, second);
  await expect.poll(() => deadLettersOf(broken.log, OrderCreatedSchema)).toHaveLength(2);
  const { out } = await runTool('dlq', ['list', '--reason', 'failed'], its);
  expect(out).toMatch(/the shelf is broken/);
  expect(out).toMatch(/^order\.created +stock +failed +open +2 /m);
  await mendShelf(broken);
  const redriven = await runTool('dlq', ['redrive', '--all'], its);
  expect(redriven).toMatchObject({ code: 0 });
  expect(redriven.out).toMatch(/2 handled; 2 records sent/);
  expect((await runTool('dlq', ['redrive', '--all'], its)).out).toBe('nothing to redrive\n');
  expect(await broken.database.pool.query('SELECT FROM reservation')).toMatchObject({ rowCount: 2 });
});

test('a redriven event that is in retry again is held, and is not sent a second time', async () => {
  const slow = scope.use(
    await startService(stockService, { serve: false, env: { RETRY_BASE: '10m', RETRY_ATTEMPTS: '100' } }),
  );
  const its = { EVENT_LOG_URL: slow.logUrl, STOCK_DATABASE_URL: slow.databaseUrl };
  const bad = poisoned(v7());
  await append(slow.log, bad);
  await expect.poll(() => deadLettersOf(slow.log, OrderCreatedSchema)).toHaveLength(1);
  await breakShelf(slow);
  const payload = goodPayload(bad.key ?? '');
  const held = await runTool('dlq', ['redrive', bad.id, '--value', payload, '--wait', '5'], its);
  expect(held).toMatchObject({ code: 1 });
  expect(held.out).toMatch(/1 held; 1 corrected record sent/);
  const listed = await runTool('dlq', ['list', '--state', 'held', '--json'], its);
  expect(lastLine(listed.out).letters).toMatchObject([{ id: bad.id, state: 'held' }]);
  expect((await runTool('dlq', ['redrive', bad.id], its)).out).toMatch(/1 in retry; 0 records sent/);
  const discarded = await runTool('dlq', ['discard', bad.id], its);
  expect(discarded).toMatchObject({ code: 1 });
  expect(discarded.out).toMatch(/1 in retry; 0 records sent/);
});

test('a group that does not listen is not waited for beyond the time given, and gets it once', async () => {
  const reserved = recordOf(StockReservedSchema, { orderId: 'nobody', revision: 1n });
  const lazy = await startService(orderService, { serve: false });
  try {
    const its = { ...env, EVENT_LOG_URL: lazy.logUrl, ORDER_DATABASE_URL: lazy.databaseUrl };
    const id = reserved.headers.ce_id ?? '';
    await append(lazy.log, reserved);
    await expect.poll(() => deadLettersOf(lazy.log, StockReservedSchema)).toHaveLength(1);
    await lazy.stop();
    const late = await runTool('dlq', ['redrive', id, '--wait', '0.5'], its);
    expect(late).toMatchObject({ code: 1 });
    expect(late.out).toMatch(/no answer.*order has not read it/);
    expect((await runTool('dlq', ['redrive', id, '--no-wait'], its)).out).toMatch(/1 sent; 0 records sent/);
    expect(await recordsOf(lazy.log, redriveTopic('order'))).toHaveLength(1);
  } finally {
    await lazy[Symbol.asyncDispose]();
  }
});

test('a rating that nobody could read is shown, corrected and counted, once', async () => {
  const ratings = scope.use(await startService(ratingsService, { serve: false }));
  const its = { EVENT_LOG_URL: ratings.logUrl, RATINGS_DATABASE_URL: ratings.databaseUrl };
  const { name: topic } = topicOf(RatedSchema);
  const talk = 'flight-of-the-gopher';
  const text = `{"talkId":"${talk}","value":6}`;
  await append(ratings.log, { topic, key: talk, value: Buffer.from(text), headers: {} });
  await expect.poll(() => deadLettersOf(ratings.log, RatedSchema)).toHaveLength(1);
  const list = ['list', '--topic', topic, '--group', 'ratings', '--json'];
  const [letter] = lastLine((await runTool('dlq', list, its)).out).letters;
  expect(letter).toMatchObject({ group: 'ratings', reason: 'undecodable', state: 'open', key: talk });
  const place = `${topic}.dlq/0/0`;
  const shown = await runTool('dlq', ['show', place], its);
  expect(shown.out).toMatch(/value: must be .* less than or equal to 5\n.*"value": 6/s);
  expect((await runTool('dlq', ['show', place, '--raw'], its)).out).toBe(text);

  const wrong = await runTool('dlq', ['redrive', place, '--value', '{"talkId":"a","value":0}'], its);
  expect(wrong).toMatchObject({ code: 1, err: expect.stringMatching(/does not fit ratings.*value/s) });
  const good = ['redrive', place, '--value', `{"talkId":"${talk}","value":5}`];
  const redriven = await runTool('dlq', good, its);
  expect(redriven).toMatchObject({ code: 0, err: '' });
  expect(redriven.out).toMatch(/1 handled; 1 corrected record sent/);
  expect((await runTool('dlq', good, its)).out).toMatch(/1 already handled; 0 corrected records sent/);
  expect(await recordsOf(ratings.log, redriveTopic('ratings'))).toMatchObject([{ key: talk }]);
  const { rows } = await ratings.database.pool.query('SELECT subject, count_5::int, count_1::int FROM tally');
  expect(rows).toEqual([{ subject: talk, count_5: 1, count_1: 0 }]);
});

test('a database that is away makes states unknown, and that is said', async () => {
  const { id } = await one();
  const blind = { ...env, STOCK_DATABASE_URL: 'postgres://postgres@127.0.0.1:1/stock' };
  const { code, out } = await runTool('dlq', ['list', '--id', id], blind);
  expect(code).toBe(1);
  expect(out).toMatch(/unknown/);
  expect(out).toMatch(/the state of stock's letters is unknown: .*ECONNREFUSED/);
});

test('watch tells of what comes, and ends by Ctrl-C', async () => {
  const { id: old } = await one();
  await using watching = startTool('dlq', ['watch'], env);
  await expect.poll(watching.err).toMatch(/watching/);
  const { id } = await one();
  await expect.poll(watching.out).toContain(id);
  watching.interrupt();
  const { code, out } = await watching.ended;
  expect(code).toBe(0);
  expect(out).not.toContain(old);
  expect(out.trim().split('\n')).toHaveLength(1);
});

describe('discard', () => {
  test('forgets a letter for good: no handler runs, and a redrive changes nothing', async () => {
    const { id, orderId } = await one();
    const { code, out } = await dlq('discard', id, '--because', 'a test order');
    expect(out).toMatch(/1 discarded; 1 record sent/);
    expect(code).toBe(0);
    expect((await dlq('discard', id)).out).toMatch(/1 already discarded; 0 records sent/);
    const redriven = await dlq('redrive', id, '--value', goodPayload(orderId));
    expect(redriven).toMatchObject({ code: 1 });
    expect(redriven.out).toMatch(/already discarded/);
    expect(await answersTo(orderId)).toEqual([]);
  });

  test('asks before it takes more than one', async () => {
    const since = new Date().toISOString();
    await poison(v7(), v7());
    const { code, err, out } = await dlq('discard', '--since', since);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toMatch(/2 letters would be discarded for good: --yes/);
    expect((await dlq('discard', '--since', since, '--yes')).out).toMatch(/2 discarded; 2 records sent/);
    expect((await dlq('discard', '--since', since, '--yes')).out).toMatch(/nothing to discard/);
  });
});

test('a wrong command line ends with 2', async () => {
  const { code, err, out } = await dlq('redrive');
  expect({ code, out }).toEqual({ code: 2, out: '' });
  expect(err).toMatch(/which letters\?.*npm run dlq/s);
  for (const [args, why] of [
    [[], 'a command is missing'],
    [['bury'], 'there is no command "bury"'],
    [['redrive', '--value', '{}', '--all'], 'a new payload is for one letter'],
    [['redrive', 'a', '--value', '{}', '--edit', '-'], 'exclude each other'],
    [['redrive', 'a', '--rate', '0'], '--rate must be'],
    [['show'], 'which letter?'],
    [['list', '--raw'], 'list does not know --raw'],
    [['list', '--since', 'yesterday'], '--since must be'],
    [['list', '--state', 'odd'], '--state must be one of'],
    [['discard', 'a', 'b'], 'one letter at a time'],
    [['list', '--what'], '--what'],
  ] as const) {
    expect(() => parseDlq(args), args.join(' ')).toThrow(UsageError);
    expect(() => parseDlq(args)).toThrow(why);
  }
});
