import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Code } from '@connectrpc/connect';
import { startEmbeddedPostgres } from '@tradewind/database/embedded';
import { freePort } from '@tradewind/testing/port';
import { administer, createDatabase, type TestDatabase } from '@tradewind/testing/postgres';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPostgresLog } from '../postgres-log.ts';
import {
  append,
  behind,
  eventually,
  keyFor,
  newTopic,
  receive,
  record,
  shared,
  text,
  unique,
} from './log-conformance/steps.ts';

const logger = pino({ level: 'silent' });
const sessionMs = 1_500;
let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase('log');
});
afterAll(() => database[Symbol.asyncDispose]());

const open = (url = database.url, options = {}) =>
  openPostgresLog({ url, logger, sessionMs, pollMs: 60_000, ...options });

/** Between a log and its server: can go silent without ending any connection, as a network does. */
class Wire implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #cut = false;

  constructor(to: URL) {
    this.#server = createServer((inner) => {
      const outer = connect(Number(to.port), to.hostname);
      for (const [from, into] of [
        [inner, outer],
        [outer, inner],
      ] as const) {
        this.#sockets.add(from);
        from.on('data', (data) => into.write(data));
        from.on('close', () => into.destroy());
        from.on('error', () => into.destroy());
        if (this.#cut) from.pause();
      }
    });
  }

  async listen(to: URL): Promise<string> {
    const port = await freePort();
    await new Promise<void>((resolve) => {
      this.#server.listen(port, '127.0.0.1', resolve);
    });
    const url = new URL(to);
    url.hostname = '127.0.0.1';
    url.port = String(port);
    return url.href;
  }

  cut(): void {
    this.#cut = true;
    for (const socket of this.#sockets) socket.pause();
  }

  mend(): void {
    this.#cut = false;
    for (const socket of this.#sockets) socket.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }
}

async function wired() {
  const to = new URL(database.url);
  const wire = new Wire(to);
  return { wire, url: await wire.listen(to) };
}

test('a member that is cut off owns nothing; another takes over; its commit is refused; it comes back', async () => {
  const { wire, url } = await wired();
  await using _wire = wire;
  await using far = await open(url, { timeoutMs: 1_000 });
  await using near = await open();
  const topic = await newTopic(near, 2);
  const group = unique('group');
  await using stalled = await far.consumer({ group, topics: [topic] });
  await append(near, [record(topic, keyFor(0, 2), 'a'), record(topic, keyFor(1, 2), 'b')]);
  const held = await receive(stalled, 2);
  wire.cut();
  await using heir = await near.consumer({ group, topics: [topic] });
  await shared([heir], 2, sessionMs * 3);
  // It can't know who took them, but that its time is over.
  expect(stalled.assignment()).toEqual([]);
  expect((await receive(heir, 2)).map(text).sort()).toEqual(['a', 'b']);
  wire.mend();
  let refused = 0;
  await eventually(10_000, async () => {
    refused = (await stalled.commit(behind(held))).length;
  });
  expect(refused).toBe(2);
  await heir.commit(behind(held));
  await shared([stalled, heir], 2, 10_000);
}, 60_000);

test('a lone member that is cut off goes on where it was, if nobody noticed', async () => {
  const { wire, url } = await wired();
  await using _wire = wire;
  await using far = await open(url, { timeoutMs: 1_000 });
  await using near = await open();
  const topic = await newTopic(near, 1);
  const group = unique('group');
  await using alone = await far.consumer({ group, topics: [topic] });
  await append(near, [record(topic, 'k', 'a')]);
  const held = await receive(alone, 1);
  wire.cut();
  const silentUntil = performance.now() + sessionMs * 1.5;
  await eventually(10_000, () => expect(performance.now()).toBeGreaterThan(silentUntil));
  await append(near, [record(topic, 'k', 'b')]);
  wire.mend();
  const next = await receive(alone, 1);
  expect(next.map(text)).toEqual(['b']);
  expect(await alone.commit(behind([...held, ...next]))).toEqual([]);
}, 60_000);

test('what the caller may have dropped, because it was told that the partition is gone, comes again', async () => {
  const { wire, url } = await wired();
  await using _wire = wire;
  await using far = await open(url, { timeoutMs: 1_000 });
  await using near = await open();
  const topic = await newTopic(near, 1);
  await using alone = await far.consumer({ group: unique('group'), topics: [topic] });
  await append(near, [record(topic, 'k', 'a')]);
  await receive(alone, 1);
  wire.cut();
  await eventually(sessionMs * 3, () => expect(alone.owns({ topic, partition: 0 })).toBe(false));
  wire.mend();
  expect((await receive(alone, 1)).map(text)).toEqual(['a']);
}, 60_000);

test('a partition waits for what was received of it before it goes to a new member', async () => {
  await using log = await open(database.url, { handoverMs: 60_000 });
  const topic = await newTopic(log, 2);
  const group = unique('group');
  await append(log, [record(topic, keyFor(0, 2), 'a'), record(topic, keyFor(1, 2), 'b')]);
  await using first = await log.consumer({ group, topics: [topic] });
  const held = await receive(first, 2);
  await using second = await log.consumer({ group, topics: [topic] });
  // Several beats of both.
  const until = performance.now() + sessionMs;
  while (performance.now() < until) {
    expect(second.assignment()).toEqual([]);
    await log.probe();
  }
  expect(await first.commit(behind(held))).toEqual([]);
  await shared([first, second], 2, sessionMs);
}, 60_000);

test('batches that touch the same partitions in different orders never get in the way of each other', async () => {
  await using log = await open();
  await using other = await open();
  const topic = await newTopic(log, 12);
  const keys = Array.from({ length: 12 }, (_, partition) => keyFor(partition, 12));
  const run = async (from: typeof log, order: readonly string[]) => {
    await using producer = await from.producer();
    for (let i = 0; i < 150; i++) await producer.append(order.map((key) => record(topic, key, `${i}`)));
  };
  await Promise.all([
    run(log, keys),
    run(other, keys.toReversed()),
    run(log, [...keys.slice(6), ...keys.slice(0, 6)]),
  ]);
  expect((await log.bounds(topic)).map(({ end }) => end)).toEqual(new Array(12).fill(450n));
}, 60_000);

test('a connection that is silent is given up: appends reject, the next one works, dispose ends', async () => {
  const { wire, url } = await wired();
  await using _wire = wire;
  const log = await open(url, { timeoutMs: 500 });
  const topic = await newTopic(log, 1);
  const producer = await log.producer();
  const consumer = await log.consumer({ group: unique('group'), topics: [topic] });
  await producer.append([record(topic, 'k', 'before')]);
  wire.cut();
  await expect(producer.append([record(topic, 'k', 'lost')])).rejects.toMatchObject({
    code: Code.Unavailable,
  });
  await expect(log.probe()).rejects.toMatchObject({ code: Code.Unavailable });
  wire.mend();
  await eventually(10_000, async () => {
    await producer.append([record(topic, 'k', 'after')]);
  });
  const records = await receive(consumer, 2);
  expect(records.map(text)).toContain('before');
  wire.cut();
  await log[Symbol.asyncDispose]();
}, 60_000);

test('ended connections are replaced, and nobody who waits notices', async () => {
  await using log = await open();
  const topic = await newTopic(log, 1);
  await using consumer = await log.consumer({ group: unique('group'), topics: [topic] });
  await using producer = await log.producer();
  for (let i = 0; i < 3; i++) {
    const waiting = receive(consumer, 1, 20_000);
    await administer(
      process.env.TEST_POSTGRES_URL ?? '',
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database.name}'`,
    );
    await eventually(10_000, async () => {
      await producer.append([record(topic, 'k', `${i}`)]);
    });
    expect((await waiting).map(text)).toEqual([`${i}`]);
    expect(await consumer.commit(behind(await waiting))).toEqual([]);
  }
}, 60_000);

test('a server that crashes and comes back has everything that it acknowledged', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'tradewind-log-'));
  const port = await freePort();
  try {
    let server = await startEmbeddedPostgres({ dataDir, port });
    await using log = await openPostgresLog({
      url: server.url('postgres'),
      logger,
      sessionMs,
      pollMs: 60_000,
    });
    const topic = await newTopic(log, 3);
    await using consumer = await log.consumer({ group: 'group', topics: [topic] });
    const acknowledged: string[] = [];
    const received = new Set<string>();
    const stop = new AbortController();
    const receiving = (async () => {
      while (!stop.signal.aborted)
        for (const one of await consumer.receive(stop.signal)) received.add(text(one));
    })();
    await using producer = await log.producer();
    const appendUntil = async (count: number) => {
      while (acknowledged.length < count) {
        await producer.append([record(topic, `k${acknowledged.length}`, `${acknowledged.length}`)]);
        acknowledged.push(`${acknowledged.length}`);
      }
    };
    await appendUntil(200);
    const more = appendUntil(1_000_000);
    more.catch(() => undefined);
    await eventually(10_000, () => expect(acknowledged.length).toBeGreaterThan(300));
    // Immediate shutdown: no checkpoint, recovery at the next start.
    server.process.kill('SIGQUIT');
    await server.exited;
    await expect(more).rejects.toMatchObject({ code: Code.Unavailable });
    await expect(log.probe()).rejects.toMatchObject({ code: Code.Unavailable });
    server = await startEmbeddedPostgres({ dataDir, port });
    await using _server = server;
    await eventually(20_000, () => log.probe());
    await appendUntil(acknowledged.length + 100);
    await eventually(20_000, () => expect([...acknowledged].filter((one) => !received.has(one))).toEqual([]));
    stop.abort();
    await receiving;
    await log[Symbol.asyncDispose]();
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}, 90_000);
