import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger, flushLogger } from '@tradewind/telemetry/logger';
import { expect, test } from 'vitest';
import { expectSame, openMarket, project, type Running, readFrom } from './ratings-market.ts';
import { rate } from './read-model.ts';

const TALK = 'flight-of-the-gopher';
const READS = 'tradewind_ratings_reads_total';

/** A logger, and what it wrote. */
function recording() {
  const file = join(tmpdir(), `ratings-${process.pid}-${Math.random()}.log`);
  const logger = createLogger({ service: 'ratings', level: 'debug', destination: file });
  return {
    logger,
    async lines(): Promise<{ msg: string; reason?: string }[]> {
      await flushLogger(logger);
      const text = await readFile(file, 'utf8');
      return text
        .trim()
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line));
    },
    [Symbol.asyncDispose]: () => rm(file, { force: true }),
  };
}

/** Waits until a reader asks PostgreSQL, for that reason. */
async function untilFromPostgres(one: Running, reason: string): Promise<void> {
  const before = await one.metric(READS, `reason="${reason}"`);
  await expect
    .poll(async () => {
      await one.counts([TALK]);
      return await one.metric(READS, `reason="${reason}"`);
    })
    .toBeGreaterThan(before);
}

test('a Redis that is killed costs speed, not answers; one line says so; it is filled when it is back', async () => {
  await using market = await openMarket();
  await using log = recording();
  await using one = project(market, { logger: log.logger });
  await rate(market.database, [TALK, 5]);
  await readFrom(one, TALK);
  await market.redis.kill();
  await untilFromPostgres(one, 'away');
  await rate(market.database, [TALK, 5], ['product/1', 2]);
  // It is tried again and again meanwhile, by either connection.
  await expect
    .poll(async () => (await log.lines()).filter(({ msg }) => /waiting to go on/.test(msg)).length)
    .toBe(2);
  await market.redis.start();
  expect((await readFrom(one, TALK))?.counts).toEqual([0, 0, 0, 0, 2]);
  await expectSame(market);
  const lines = (await log.lines())
    .filter(({ msg }) => /Redis, for (reads|projection)/.test(msg))
    .map(({ msg }) => msg);
  expect(lines.toSorted()).toEqual([
    'Redis, for projection: going on',
    'Redis, for projection: waiting to go on',
    'Redis, for reads: going on',
    'Redis, for reads: waiting to go on',
  ]);
});

test('a Redis that is not there from the start is waited for', async () => {
  await using market = await openMarket();
  await market.redis.stop();
  await using one = project(market);
  await rate(market.database, [TALK, 5]);
  await untilFromPostgres(one, 'away');
  await market.redis.start();
  expect((await readFrom(one, TALK))?.counts).toEqual([0, 0, 0, 0, 1]);
});

test('a Redis that hangs is waited for no longer than the timeout, and then not at all for a while', async () => {
  await using market = await openMarket();
  await using one = project(market, { timeoutMs: 100 });
  await rate(market.database, [TALK, 5]);
  await readFrom(one, TALK);
  market.redis.hold();
  await untilFromPostgres(one, 'slow');
  await untilFromPostgres(one, 'resting');
  await rate(market.database, [TALK, 5]);
  market.redis.release();
  await expect.poll(async () => (await readFrom(one, TALK))?.counts).toEqual([0, 0, 0, 0, 2]);
  await expectSame(market);

  // Also when the connection is given up meanwhile, and a new one finds nobody who answers.
  market.redis.hold();
  await untilFromPostgres(one, 'away');
  market.redis.release();
  await readFrom(one, TALK);
});

test('a Redis that comes back with what it had saved an hour ago is not read from, however quickly it is back', async () => {
  await using market = await openMarket({ dbfilename: 'old.rdb' });
  const { client, database, redis } = market;
  const old = project(market);
  await rate(database, [TALK, 1], ['same', 3]);
  await expectSame(market);
  await redis.ask('SAVE');
  await rate(database, [TALK, 5], ['new', 4]);
  await expectSame(market);
  await using reader = project(market, { works: false });
  expect((await readFrom(reader, TALK))?.counts).toEqual([1, 0, 0, 0, 1]);
  // Nothing is due, so nothing but its other life tells that it is old.
  await old[Symbol.asyncDispose]();
  await redis.kill();
  await redis.start();
  expect(await client.hgetall(`ratings/${TALK}`)).toEqual({ 1: '1' });
  expect(await client.get('ratings-marker')).not.toBe(null);
  await untilFromPostgres(reader, 'incomplete');
  expect((await reader.counts([TALK, 'same', 'new'])).size).toBe(0);
  await using _ = project(market);
  expect((await readFrom(reader, TALK))?.counts).toEqual([1, 0, 0, 0, 1]);
  await expectSame(market);
});

test('while nobody brings Redis up, it is not read from for long', async () => {
  await using market = await openMarket();
  await using reader = project(market, { works: false });
  {
    await using _ = project(market);
    await rate(market.database, [TALK, 5]);
    await readFrom(reader, TALK);
  }
  await rate(market.database, [TALK, 1]);
  await untilFromPostgres(reader, 'behind');
  expect((await reader.counts([TALK])).size).toBe(0);
  await using _ = project(market);
  expect((await readFrom(reader, TALK))?.counts).toEqual([1, 0, 0, 0, 1]);
});

test('without PostgreSQL nobody can tell whether Redis is up to date, so it is not read from', async () => {
  await using market = await openMarket();
  await using one = project(market);
  await rate(market.database, [TALK, 5]);
  await readFrom(one, TALK);
  await one.stop();
  await market.database.pool.query('ALTER TABLE projection RENAME TO hidden');
  await untilFromPostgres(one, 'unproven');
  await market.database.pool.query('ALTER TABLE hidden RENAME TO projection');
  await readFrom(one, TALK);
});

test('what was evicted or changed by others is asked of PostgreSQL, and written again', async () => {
  await using market = await openMarket();
  const { client, database } = market;
  await using one = project(market);
  const spoil: Record<string, () => Promise<unknown>> = {
    'counts evicted': () => client.del('ratings/counts evicted'),
    'revision evicted': () => client.del('ratings-revision/revision evicted'),
    'both evicted': () => client.del('ratings/both evicted', 'ratings-revision/both evicted'),
    'one field gone': () => client.hdel('ratings/one field gone', '5'),
    'another number': () => client.hset('ratings/another number', '5', '999'),
    'no number': () => client.hset('ratings/no number', '5', 'many'),
    'a string': () => client.set('ratings/a string', 'x'),
    'a list': async () => {
      await client.del('ratings-revision/a list');
      await client.rpush('ratings-revision/a list', 'x');
    },
    'another revision': () => client.set('ratings-revision/another revision', '7'),
    'a hash of somebody else': () =>
      client.set('ratings-revision/a hash of somebody else', 'ffffffffffff:99:3:0'),
  };
  const names = Object.keys(spoil);
  await rate(
    database,
    ...names.flatMap((name) => [[name, 1] as const, [name, 5] as const, [name, 5] as const]),
  );
  await expectSame(market);
  await readFrom(one, 'both evicted');
  for (const work of Object.values(spoil)) await work();
  const found = await one.counts([...names, 'never rated']);
  expect([...found]).toEqual([]);
  // Of what is mended, a reader learns from Redis again.
  for (const name of names)
    expect(await readFrom(one, name)).toMatchObject({ counts: [1, 0, 0, 0, 2], revision: 1 });
  await expectSame(market);
  expect(await client.exists('ratings-revision/never rated')).toBe(0);
});

test('keys of our own that are of a wrong type are in nobody’s way', async () => {
  await using market = await openMarket();
  const { client, database } = market;
  await using one = project(market);
  await rate(database, [TALK, 5]);
  await readFrom(one, TALK);
  await client
    .multi()
    .del('ratings-marker')
    .rpush('ratings-marker', 'x')
    .hset('ratings-refill', 'x', '1')
    .exec();
  await untilFromPostgres(one, 'incomplete');
  await readFrom(one, TALK);
  expect(await client.type('ratings-marker')).toBe('string');
  await client
    .multi()
    .del(`ratings/${TALK}`, `ratings-revision/${TALK}`)
    .set(`ratings/${TALK}`, 'x')
    .sadd(`ratings-revision/${TALK}`, 'x')
    .exec();
  await rate(database, [TALK, 5]);
  await expect.poll(() => client.hgetall(`ratings/${TALK}`).catch(() => undefined)).toEqual({ 5: '2' });
  // What PostgreSQL does not know goes with the next refill, whatever it is.
  await client
    .multi()
    .set('ratings/stray', 'x')
    .sadd('ratings-revision/other', 'x')
    .hset('ratings/third', '5', '1')
    .set('ratingsome', 'x')
    .del('ratings-marker')
    .exec();
  await readFrom(one, TALK);
  await expectSame(market);
  expect(await client.get('ratingsome')).toBe('x');
});

test('a Redis that is full refuses, nothing half written is believed, and it goes on when there is room', async () => {
  await using market = await openMarket();
  const { client, database } = market;
  await using log = recording();
  await using one = project(market, { logger: log.logger });
  await rate(database, [TALK, 5]);
  await readFrom(one, TALK);
  await client.config('SET', 'maxmemory', '1');
  await rate(database, [TALK, 5]);
  await expect
    .poll(async () => (await log.lines()).find(({ reason }) => /OOM/.test(reason ?? ''))?.msg)
    .toBe('projection to Redis: waiting to go on');
  await untilFromPostgres(one, 'behind');
  await client.config('SET', 'maxmemory', '0');
  expect((await readFrom(one, TALK))?.counts).toEqual([0, 0, 0, 0, 2]);
  await expectSame(market);
});

test('a Redis that is too small for all evicts some; what is read is right all the same', async () => {
  await using market = await openMarket({ 'maxmemory-policy': 'allkeys-lru', 'maxmemory-samples': '10' });
  const { client, database } = market;
  await using one = project(market);
  const subjects = Array.from({ length: 4_000 }, (_, n) => `product/${n}`);
  await rate(database, ...subjects.map((subject, n) => [subject, (n % 5) + 1] as const));
  await expectSame(market);
  await readFrom(one, 'product/0');
  const used = Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1]);
  await client.config('SET', 'maxmemory', String(used - 100_000));
  let [right, missing] = [0, 0];
  for (let from = 0; from < subjects.length; from += 50) {
    const page = subjects.slice(from, from + 50);
    const found = await one.counts(page);
    for (const [n, subject] of page.entries()) {
      const counts = found.get(subject)?.counts;
      if (!counts) missing++;
      else if (counts.indexOf(1) === n % 5 && counts.filter(Boolean).length === 1) right++;
    }
  }
  expect(Number(/evicted_keys:(\d+)/.exec(await client.info('stats'))?.[1])).toBeGreaterThan(100);
  expect(missing).toBeGreaterThan(0);
  expect(right).toBeGreaterThan(0);
  expect(right + missing).toBe(subjects.length);
});

test('a wrong password is said without the password, and no reason to give up', async () => {
  await using market = await openMarket({ requirepass: 'right' });
  await using log = recording();
  const redisUrl = `redis://:hush-hush@127.0.0.1:${market.redis.port}`;
  await using one = project(market, { redisUrl, logger: log.logger });
  await rate(market.database, [TALK, 5]);
  await untilFromPostgres(one, 'away');
  await expect
    .poll(async () => (await log.lines()).map(({ reason }) => reason))
    .toContainEqual(expect.stringMatching(/^WRONGPASS/));
  await market.client.config('SET', 'requirepass', 'hush-hush');
  await readFrom(one, TALK);
  expect(JSON.stringify(await log.lines())).not.toContain('hush');
});

test('a Redis that forgets its scripts is told them again', async () => {
  await using market = await openMarket();
  await using one = project(market);
  await rate(market.database, [TALK, 5]);
  await readFrom(one, TALK);
  await market.redis.ask('SCRIPT', 'FLUSH');
  expect((await one.counts([TALK])).get(TALK)?.revision).toBe(1);
  await rate(market.database, [TALK, 5]);
  await expectSame(market);
});
