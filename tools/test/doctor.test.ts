import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import { topicOf } from '@tradewind/messaging/contract';
import { append, deadLettersOf, recordOf } from '@tradewind/testing/events';
import { freePort } from '@tradewind/testing/port';
import { startService, type TestService, type TestServiceOptions } from '@tradewind/testing/service';
import { v7 } from 'uuid';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { service as orderService } from '../../services/order/service.ts';
import { service as productService } from '../../services/product/service.ts';
import { service as ratingsService } from '../../services/ratings/service.ts';
import { service as stockService } from '../../services/stock/service.ts';
import { parseDoctor } from '../doctor/command-line.ts';
import type { DoctorReport } from '../doctor/report.ts';
import { UsageError } from '../load/command-line.ts';
import { identify } from '../start/identity.ts';
import { type Ended, type Environment, runTool } from './tool-process.ts';

vi.setConfig({ testTimeout: 120_000 });
/** Nobody's starter, and patience with a busy machine. */
const quiet = ['--data', '/nonexistent', '--patience', '20s'];

let scope: AsyncDisposableStack;
beforeEach(() => {
  scope = new AsyncDisposableStack();
});
afterEach(() => scope.disposeAsync());

interface System {
  readonly order: TestService;
  readonly stock: TestService;
  readonly ratings: TestService;
  readonly env: Environment;
}

/** The services as they are, in this process, on one real log. */
async function system(
  of: { [name in 'order' | 'stock' | 'ratings']?: TestServiceOptions } = {},
): Promise<System> {
  const order = scope.use(await startService(orderService, of.order));
  const { logUrl } = order;
  const stock = scope.use(await startService(stockService, { ...of.stock, logUrl }));
  const product = scope.use(await startService(productService, { logUrl }));
  const ratings = scope.use(await startService(ratingsService, { ...of.ratings, logUrl }));
  return {
    order,
    stock,
    ratings,
    env: {
      ORDER_URL: order.url,
      STOCK_URL: stock.url,
      PRODUCT_URL: product.url,
      RATINGS_URL: ratings.url,
      ORDER_DATABASE_URL: order.databaseUrl,
      STOCK_DATABASE_URL: stock.databaseUrl,
      PRODUCT_DATABASE_URL: product.databaseUrl,
      RATINGS_DATABASE_URL: ratings.databaseUrl,
      EVENT_LOG_URL: logUrl,
    },
  };
}

async function doctor(env: Environment, ...args: string[]): Promise<Ended & { report: DoctorReport }> {
  const ended = await runTool('doctor', ['--json', ...quiet, ...args], env);
  return { ...ended, report: JSON.parse(ended.out) as DoctorReport };
}
const screen = (env: Environment, ...args: string[]) => runTool('doctor', [...quiet, ...args], env);

async function place(order: TestService): Promise<string> {
  const response = await fetch(`${order.url}/api/v1/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"product_id":1,"total_price":100,"total_quantity":1}',
  });
  return ((await response.json()) as { id: string }).id;
}
const depth = async ({ database }: TestService) =>
  (await database.pool.query('SELECT count(*)::int AS depth FROM outbox')).rows[0].depth as number;
const created = topicOf(OrderCreatedSchema).name;
const reserved = topicOf(StockReservedSchema).name;

test('all is well: every part is named, and the exit code is 0', async () => {
  const { env, order, stock } = await system();
  const id = await place(order);
  const settled = async () =>
    (await order.database.pool.query('SELECT status FROM orders WHERE id = $1', [id])).rows[0];
  await expect.poll(settled).toEqual({ status: 'CANCELED' });
  const sent = async () => (await depth(order)) + (await depth(stock));
  await expect.poll(sent).toBe(0);
  const { code, report } = await doctor(env, '--pending-after', '0');
  expect(code).toBe(0);
  expect(report).toMatchObject({
    version: 1,
    healthy: true,
    log: { reachable: true },
    dead_letters: [],
    pending_orders: { count: 0, orders: [] },
  });
  expect(report.processes.map(({ name, status }) => [name, status])).toEqual([
    ['product', 'ready'],
    ['order', 'ready'],
    ['stock', 'ready'],
    ['ratings', 'ready'],
  ]);
  expect(report.databases.map(({ service, outbox_depth }) => [service, outbox_depth])).toEqual([
    ['product', 0],
    ['order', 0],
    ['stock', 0],
    ['ratings', 0],
  ]);
  expect(report.groups.map(({ group, lag }) => [group, lag]).sort()).toEqual([
    ['order', 0],
    ['product', 0],
    ['ratings', 0],
    ['stock', 0],
  ]);
  const { out } = await screen(env);
  expect(out).toMatch(/All is well\.\n$/);
});

test('stock does not run: its order is on the log, at its offset, and stock has to read it', async () => {
  const { env, order, stock } = await system();
  await stock.stop();
  const ids = [await place(order), await place(order)];
  await expect.poll(() => depth(order)).toBe(0);
  const { code, report } = await doctor(env, '--pending-after', '0', '--lag-after', '0');
  expect(code).toBe(1);
  expect(report.processes).toContainEqual(expect.objectContaining({ name: 'stock', status: 'no answer' }));
  expect(report.groups).toContainEqual(expect.objectContaining({ group: 'stock', lag: 2 }));
  expect(report.pending_orders.orders.map(({ id }) => id)).toEqual(ids);
  for (const { where, next } of report.pending_orders.orders) {
    expect(where).toMatchObject({ at: 'topic', group: 'stock', topic: created });
    expect(next).toMatch(/stock reads it/);
  }
  expect(report.problems.map(({ about }) => about)).toEqual(['process', 'lag', 'orders']);
  const { out } = await screen(env, '--pending-after', '0', '--orders', '1');
  expect(out).toMatch(new RegExp(`${ids[0]}.*order\\.created/\\d/\\d`));
  expect(out).toContain('… and 1 more');
});

test('the log is away: the order is in the outbox, and nothing else is blamed', async () => {
  const { env, order } = await system({ order: { listen: false } });
  const id = await place(order);
  await expect.poll(() => depth(order)).toBe(0);
  // As if the relay had not sent it yet.
  await order.stop();
  await order.database.pool.query(
    `INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, source, content_type, created_at)
     VALUES ($1, $2, $3, 'T', '', 'order', 'application/json', now() - interval '1 h')`,
    [v7(), created, id],
  );
  const away = { ...env, EVENT_LOG_URL: `postgres://postgres:secret@127.0.0.1:${await freePort()}/log` };
  const { code, report, out } = await doctor(away, '--pending-after', '0');
  expect(code).toBe(1);
  expect(report.log).toMatchObject({ reachable: false, why: expect.stringMatching(/ECONNREFUSED/) });
  expect(out).not.toContain('secret');
  expect(report.pending_orders.orders).toMatchObject([
    { id, where: { at: 'outbox', service: 'order', topic: created } },
  ]);
  expect(report.problems.map(({ about }) => about)).toEqual(['event log', 'process', 'outbox', 'orders']);
  expect(report.problems[2]?.what).toMatch(
    /1 fact in the outbox of order, the oldest \(order\.created\) for 60 min/,
  );
});

test('a dead letter is counted, named by its order, and the command that brings it back is given', async () => {
  const { env, order, stock } = await system({ order: { listen: false } });
  // What kills it is in the record, so it is put on the log in the place of what order told.
  await stock.stop();
  const id = await place(order);
  await expect.poll(() => depth(order)).toBe(0);
  const again = scope.use(
    await startService(stockService, { databaseUrl: stock.databaseUrl, logUrl: stock.logUrl, listen: false }),
  );
  const poison = recordOf(OrderCreatedSchema, { orderId: id, revision: 1n });
  await append(order.log, poison);
  // Its first record settles nothing: stock has heard of it, but the reservation is taken away again.
  const listening = scope.use(
    await startService(stockService, { databaseUrl: stock.databaseUrl, logUrl: stock.logUrl, serve: false }),
  );
  await expect.poll(() => deadLettersOf(order.log, OrderCreatedSchema)).toHaveLength(1);
  await expect.poll(() => depth(stock)).toBe(0);
  await listening.stop();
  await stock.database.pool.query('DELETE FROM reservation WHERE order_id = $1', [id]);
  const { code, report } = await doctor(
    { ...env, STOCK_URL: again.url },
    '--pending-after',
    '0',
    '--lag-after',
    '1h',
  );
  expect(code).toBe(1);
  expect(report.dead_letters).toMatchObject([
    { topic: created, group: 'stock', reason: 'undecodable', state: 'open', count: 1 },
  ]);
  expect(report.pending_orders.orders).toMatchObject([
    { id, where: { at: 'dead letter', group: 'stock', id: poison.headers.ce_id } },
  ]);
  expect(report.pending_orders.orders[0]?.next).toMatch(/npm run dlq -- redrive order\.created\.dlq\/0\/0$/);
  expect(report.problems.map(({ about }) => about)).toEqual(['dead letters', 'orders']);

  // Once it is discarded or redriven, it is nobody's business any more.
  await stock.database.pool.query(`UPDATE inbox SET state = 'done' WHERE id = $1`, [poison.headers.ce_id]);
  expect((await doctor(env, '--pending-after', '1h')).report.dead_letters).toEqual([]);
});

test("stock has answered, and its answer is in stock's outbox, then on the log", async () => {
  const { env, order, stock } = await system({ order: { listen: false } });
  const id = await place(order);
  const answered = async () => (await stock.database.pool.query('SELECT outcome FROM reservation')).rows;
  await expect.poll(answered).toEqual([{ outcome: 'exceeded' }]);
  await expect.poll(() => depth(stock)).toBe(0);
  const onLog = await doctor(env, '--pending-after', '0', '--lag-after', '1h');
  expect(onLog.report.pending_orders.orders).toMatchObject([
    { id, where: { at: 'topic', group: 'order', topic: 'stock.exceeded-amount', ahead: 0 } },
  ]);
  await stock.stop();
  await stock.database.pool.query(`UPDATE reservation SET outcome = 'reserved'`);
  await stock.database.pool.query(
    `INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, source, content_type)
     VALUES ($1, $2, $3, 'T', '', 'stock', 'application/json')`,
    [v7(), reserved, id],
  );
  const inOutbox = await doctor(env, '--pending-after', '0', '--lag-after', '1h');
  expect(inOutbox.report.pending_orders.orders).toMatchObject([
    { where: { at: 'outbox', service: 'stock', topic: reserved } },
  ]);
});

test('a key in retry is named with its attempts and its error, and so is the order that waits for it', async () => {
  const { env, order, stock } = await system({
    stock: { env: { RETRY_BASE: '10m', RETRY_ATTEMPTS: '100' } },
  });
  await stock.database.pool.query(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the shelf is broken'; END $$`);
  await stock.database.pool.query(
    'CREATE TRIGGER refuse BEFORE INSERT ON reservation FOR EACH ROW EXECUTE FUNCTION refuse()',
  );
  const id = await place(order);
  const held = async () => (await stock.database.pool.query('SELECT key FROM held_event')).rows;
  await expect.poll(held).toEqual([{ key: id }]);
  const { code, report } = await doctor(env, '--pending-after', '0', '--held-after', '0');
  expect(code).toBe(1);
  const its = report.databases.find(({ service }) => service === 'stock');
  expect(its).toMatchObject({
    held_keys: 1,
    held_events: 1,
    held: [{ topic: created, key: id, events: 1, error: expect.stringContaining('the shelf is broken') }],
  });
  expect(report.pending_orders.orders).toMatchObject([
    {
      id,
      where: {
        at: 'held',
        group: 'stock',
        topic: created,
        ahead: 0,
        error: expect.stringContaining('shelf'),
      },
    },
  ]);
  expect(report.problems.map(({ about }) => about)).toEqual(['held', 'orders']);
});

test('ratings: what is not sent, not read, held and dead is told, as of every service', async () => {
  const { env, ratings } = await system({
    ratings: { env: { RETRY_BASE: '10m', RETRY_ATTEMPTS: '100' } },
  });
  const { name: topic } = topicOf(RatedSchema);
  const bare = (key: string, json: string) => ({ topic, key, value: Buffer.from(json), headers: {} });
  await ratings.database.pool.query(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'nobody counts here'; END $$`);
  await ratings.database.pool.query(
    'CREATE TRIGGER refuse BEFORE INSERT ON tally FOR EACH ROW EXECUTE FUNCTION refuse()',
  );
  await append(ratings.log, bare('a-talk', '{"talkId":"a-talk","value":5}'), bare('b-talk', 'five stars!'));
  const held = async () => (await ratings.database.pool.query('SELECT key FROM held_line')).rows;
  await expect.poll(held).toEqual([{ key: 'a-talk' }]);
  // The product service hears the same topic, and can't read it either.
  await expect.poll(() => deadLettersOf(ratings.log, RatedSchema)).toHaveLength(2);
  await ratings.stop();
  await append(ratings.log, bare('c-talk', '{"talkId":"c-talk","value":1}'));
  await ratings.database.pool.query(
    `INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, source, content_type, created_at)
     VALUES ($1, $2, 'd-talk', 'T', '', 'ratings', 'application/json', now() - interval '1 h')`,
    [v7(), topic],
  );
  const { code, report } = await doctor(env, '--held-after', '0', '--lag-after', '0');
  expect(code).toBe(1);
  expect(report.processes).toContainEqual(expect.objectContaining({ name: 'ratings', status: 'no answer' }));
  expect(report.databases.find(({ service }) => service === 'ratings')).toMatchObject({
    outbox_depth: 1,
    outbox_oldest_topic: topic,
    held_keys: 1,
    held: [{ topic, key: 'a-talk', error: expect.stringContaining('nobody counts here') }],
  });
  expect(report.groups).toContainEqual(expect.objectContaining({ group: 'ratings', lag: 1 }));
  expect(report.dead_letters.map(({ topic, group, reason }) => [topic, group, reason]).sort()).toEqual([
    [topic, 'product', 'undecodable'],
    [topic, 'ratings', 'undecodable'],
  ]);
  expect(new Set(report.problems.map(({ about }) => about))).toEqual(
    new Set(['process', 'outbox', 'lag', 'held', 'dead letters']),
  );
  const { out } = await screen(env);
  expect(out).toMatch(/npm run dlq -- list --topic ratings --group ratings --reason undecodable/);
});

test.for([
  ['PostgreSQL is stopped', /ECONNREFUSED/],
  ['PostgreSQL takes connections and says nothing', /no answer in time|timeout/],
] as const)('%s: that is said, and nothing is waited for', async ([how, why]) => {
  const refused = await freePort();
  const silent = createServer(() => undefined);
  scope.defer(() => void silent.close());
  await new Promise<void>((resolve) => {
    silent.listen(0, '127.0.0.1', resolve);
  });
  const silentPort = (silent.address() as AddressInfo).port;
  const postgres = how.endsWith('stopped') ? refused : silentPort;
  const { code, report } = await doctor(
    {
      PRODUCT_PORT: String(refused),
      ORDER_PORT: String(refused),
      STOCK_PORT: String(silentPort),
      RATINGS_PORT: String(refused),
      TRADEWIND_POSTGRES_PORT: String(postgres),
    },
    '--patience',
    '1s',
  );
  expect(code).toBe(1);
  expect(report.log).toMatchObject({ reachable: false, why: expect.stringMatching(why) });
  expect(report.databases).toHaveLength(4);
  for (const database of report.databases)
    expect(database).toMatchObject({ reachable: false, why: expect.stringMatching(why) });
  expect(report.processes.map(({ status }) => status)).toEqual(Array(4).fill('no answer'));
  expect(report.pending_orders).toEqual({ after_ms: 60_000, orders: [] });
  expect(report.problems).toContainEqual({
    about: 'process',
    what: expect.stringContaining(`order does not answer at http://127.0.0.1:${refused}`),
    next: expect.stringContaining('ORDER_PORT'),
  });
});

test('a process that runs and does not answer is not to be started; what the log can not tell is unknown, not none', async () => {
  const silent = createServer(() => undefined);
  scope.defer(() => void silent.close());
  await new Promise<void>((resolve) => {
    silent.listen(0, '127.0.0.1', resolve);
  });
  const { port } = silent.address() as AddressInfo;
  const dataDir = await mkdtemp(join(tmpdir(), 'doctor-'));
  scope.defer(() => rm(dataDir, { recursive: true, force: true }));
  const me = identify(process.pid);
  const state = { starter: me, ports: { stock: port }, processes: [{ ...me, name: 'stock' }] };
  await writeFile(join(dataDir, 'running.json'), JSON.stringify(state));
  const refused = String(await freePort());
  const ports = {
    PRODUCT_PORT: refused,
    ORDER_PORT: refused,
    RATINGS_PORT: refused,
    TRADEWIND_POSTGRES_PORT: refused,
  };
  const { out } = await runTool('doctor', ['--data', dataDir, '--patience', '500ms'], ports);
  expect(out).toMatch(new RegExp(`stock does not answer.*\\n.*it runs \\(pid ${process.pid}\\)`));
  expect(out).toMatch(/order does not answer.*\n.*start it/);
  expect(out).toMatch(/dead letters that wait for somebody\n +unknown/);
});

test('another process may be named, and what is none of ours is not taken for one', async () => {
  const { env, order } = await system();
  const foreign = createHttpServer((_, response) => void response.end('{"status":"fine"}'));
  scope.defer(() => void foreign.close());
  await new Promise<void>((resolve) => {
    foreign.listen(0, '127.0.0.1', resolve);
  });
  const url = `http://127.0.0.1:${(foreign.address() as AddressInfo).port}`;
  const { report } = await doctor({ ...env, STOCK_URL: url }, '--health', order.url);
  expect(report.processes.at(-1)).toMatchObject({ name: `process at ${order.url}`, status: 'ready' });
  expect(report.problems).toMatchObject([
    { about: 'process', what: expect.stringMatching(/stock does not answer.*no service of ours: HTTP 200/) },
  ]);
});

test('a wrong command line ends with 2', async () => {
  const { code, err, out } = await runTool('doctor', ['--pending-after', 'soon'], {});
  expect({ code, out }).toEqual({ code: 2, out: '' });
  expect(err).toMatch(/--pending-after must be a duration.*npm run doctor/s);
  for (const args of [['--orders', 'all'], ['--health', 'here'], ['--what'], ['everything']])
    expect(() => parseDoctor(args), args.join(' ')).toThrow(UsageError);
});
