import { createLogger } from '@tradewind/telemetry/logger';
import { expect, test } from 'vitest';
import { takeDue } from '../redis/due.ts';
import { standingOf, startOver, wantProjection } from '../redis/epoch.ts';
import { Link } from '../redis/link.ts';
import { Store } from '../redis/store.ts';
import { countsOf, expectSame, hashesOf, openMarket, project, readFrom } from './ratings-market.ts';
import { rate } from './read-model.ts';

const logger = createLogger({ service: 'test', level: 'silent' });
const TALK = 'flight-of-the-gopher';

test('what is rated is read from Redis, in the shape that clients read, with the last change and the revision', async () => {
  await using market = await openMarket();
  await using one = project(market);
  await rate(market.database, [TALK, 5], [TALK, 5], [TALK, 4], ['product/1', 1]);
  await rate(market.database, [TALK, 5]);
  await expectSame(market);
  expect(await market.client.hgetall(`ratings/${TALK}`)).toEqual({ 4: '1', 5: '3' });
  const { rows } = await market.database.pool.query<{ changed_at: Date }>(
    'SELECT changed_at FROM tally WHERE subject = $1',
    [TALK],
  );
  expect(await readFrom(one, TALK)).toEqual({
    counts: [0, 0, 0, 1, 3],
    revision: 2,
    changedAt: rows[0]?.changed_at,
  });
  // Twice the same subject, one that nobody has rated, and none at all.
  const several = await one.counts(['product/1', TALK, 'product/1', 'product/2']);
  expect([...several.keys()]).toEqual(['product/1', TALK]);
  expect((await one.counts([])).size).toBe(0);
  expect(await one.metric('tradewind_ratings_reads_total', 'reason="absent"')).toBe(1);
});

test('a commit wakes the projector of its process: nothing waits for a poll', async () => {
  await using market = await openMarket();
  await using one = project(market, { pollMs: 600_000 });
  await expectSame(market);
  for (let n = 1; n <= 20; n++) {
    await rate(market.database, [TALK, 1]);
    await expect.poll(() => market.client.hget(`ratings/${TALK}`, '1'), { interval: 1 }).toBe(String(n));
  }
  // Neither does what somebody says by hand.
  await market.database.pool.query(
    `INSERT INTO tally VALUES ('by hand', 1, 0, 0, 0, 0, now(), 1); INSERT INTO projection_due VALUES ('by hand', 1)`,
  );
  one.wake();
  await expectSame(market);
});

test('to project twice changes nothing, and an older revision neither', async () => {
  await using market = await openMarket();
  const { database, client, redis } = market;
  await using link = new Link({ url: redis.url, purpose: 'test', timeoutMs: 1_000, logger });
  const store = new Store(link);
  {
    await using _ = project(market);
    await rate(database, [TALK, 3]);
    await expectSame(market);
  }
  await expect.poll(() => link.life).toBeDefined();
  const life = link.life;
  if (!life) throw new Error('not connected');
  await rate(database, [TALK, 4]);
  const old = await takeDue(database, 10);
  await rate(database, [TALK, 4]);
  const due = await takeDue(database, 10);
  const place = { epoch: due.epoch, life };
  expect(await store.write(place, due.rows)).toBe(1);
  const dump = async () => [await client.get(`ratings-revision/${TALK}`), await hashesOf(client)];
  const after = await dump();
  expect(await store.write(place, due.rows)).toBe(0);
  expect(await store.write(place, old.rows)).toBe(0);
  expect(await store.write(place, old.rows, { mend: true })).toBe(0);
  expect(await dump()).toEqual(after);
  // To the eye the same, and higher as a number: revisions are not compared as text.
  const tenth = due.rows.map((row) => ({ ...row, revision: '10' }));
  expect(await store.write(place, tenth)).toBe(1);
  expect(await store.write(place, due.rows)).toBe(0);
  // Another one comes to the same end with the note that is still there.
  await client.del(`ratings/${TALK}`, `ratings-revision/${TALK}`);
  await using _ = project(market);
  await expectSame(market);
});

test('while nobody projects nothing is noted; what was missed then is made up for by a new epoch', async () => {
  await using market = await openMarket();
  const { database } = market;
  const epoch = async () =>
    (await database.pool.query<{ epoch: string }>('SELECT epoch FROM projection')).rows[0]?.epoch;
  const due = async () => (await database.pool.query('SELECT FROM projection_due')).rowCount;
  await rate(database, [TALK, 5]);
  expect(await due()).toBe(0);
  {
    await using _ = project(market);
    await expectSame(market);
  }
  const first = await epoch();
  await rate(database, [TALK, 5]);
  expect(await due()).toBe(1);
  {
    await using _ = project(market);
    await expectSame(market);
  }
  expect(await epoch()).toBe(first);

  // Nobody was heard of for a day, and Redis still has what it had.
  await database.pool.query(`UPDATE projection SET wanted_until = now() - interval '1 s'`);
  await rate(database, [TALK, 5]);
  expect(await due()).toBe(0);
  await using reader = project(market, { works: false });
  await expect
    .poll(async () => {
      expect((await reader.counts([TALK])).size).toBe(0);
      return await reader.metric('tradewind_ratings_reads_total', 'reason="unfed"');
    })
    .toBeGreaterThan(0);
  await using _ = project(market);
  expect((await readFrom(reader, TALK))?.counts).toEqual([0, 0, 0, 0, 3]);
  expect(await epoch()).not.toBe(first);
  await expectSame(market);
});

test('a change that began before anybody projected is not lost, however late it commits', async () => {
  await using market = await openMarket();
  const { database } = market;
  const [inside, end] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const slow = database.transaction(async (em) => {
    await rate({ transaction: (work) => work(em) }, [TALK, 5]);
    inside.resolve();
    await end.promise;
  });
  await inside.promise;
  await using _ = project(market);
  await expect
    .poll(
      async () =>
        (await database.pool.query(`SELECT FROM pg_locks WHERE mode = 'ShareLock' AND NOT granted`)).rowCount,
    )
    .toBe(1);
  end.resolve();
  await slow;
  await expectSame(market);
  expect(await hashesOf(market.client)).toEqual({ [TALK]: { 5: '1' } });
});

test('other tallies in the place of those that were there: all of them are written, whatever their revisions', async () => {
  await using market = await openMarket();
  const { database } = market;
  await using one = project(market);
  for (let n = 0; n < 5; n++) await rate(database, [TALK, 1], ['gone', 2], ['same', 3]);
  await expectSame(market);
  await readFrom(one, TALK);
  await database.transaction(async (em) => {
    await em.execute(`DELETE FROM tally WHERE subject = 'gone'`);
    await em.execute(`UPDATE tally SET count_1 = 1, count_2 = 1, revision = 1 WHERE subject = '${TALK}'`);
    await startOver(em);
  });
  await expect.poll(async () => (await readFrom(one, TALK))?.counts).toEqual([1, 1, 0, 0, 0]);
  await expectSame(market);
  expect(await countsOf(market)).toEqual({ [TALK]: { 1: '1', 2: '1' }, same: { 3: '5' } });
});

test('what looks like a stray and has been written since is not removed', async () => {
  await using market = await openMarket();
  const { database, client, redis } = market;
  await wantProjection(database);
  await using link = new Link({ url: redis.url, purpose: 'test', timeoutMs: 1_000, logger });
  const store = new Store(link);
  await expect.poll(() => link.life).toBeDefined();
  if (!link.life) throw new Error('not connected');
  const { epoch } = await standingOf(database, 0);
  const begun = await store.begin({ epoch, life: link.life }, 'token');
  if (typeof begun === 'string') throw new Error(begun);
  await client.hset('ratings/stray', '5', '1');
  await client.hset(`ratings/${TALK}`, '5', '1');
  const subjects = ['stray', TALK];
  const seen = await store.revisions(begun, subjects);
  // Rated for the first time after it was looked for in PostgreSQL, and projected at once.
  await rate(database, [TALK, 4]);
  expect(await store.write({ epoch, life: link.life }, (await takeDue(database, 10)).rows)).toBe(1);
  expect(await store.remove(begun, subjects, seen)).toBe(1);
  expect(await hashesOf(client)).toEqual({ [TALK]: { 4: '1' } });
});

test('a Redis that holds the counts of another database is filled anew', async () => {
  await using first = await openMarket();
  await using second = await openMarket();
  const { redis, client } = first;
  {
    await using _ = project(first);
    await rate(first.database, [TALK, 1], [TALK, 1], ['only-there', 1]);
    await rate(first.database, [TALK, 1]);
    await expectSame(first);
  }
  const market = { ...second, redis, client };
  await rate(second.database, [TALK, 5]);
  await using reader = project(market, { works: false });
  await using _ = project(market);
  expect(await readFrom(reader, TALK)).toMatchObject({ counts: [0, 0, 0, 0, 1], revision: 1 });
  await expectSame(market);
});

test('of two projectors at the same time, and a hot subject among cold ones, Redis comes out the same', async () => {
  await using market = await openMarket();
  await using _one = project(market);
  await using _two = project(market);
  await Promise.all(
    Array.from({ length: 4 }, async (_, writer) => {
      for (let n = 0; n < 100; n++)
        await rate(market.database, [TALK, (n % 5) + 1], [`product/${writer * 100 + n}`, 3]);
    }),
  );
  await expectSame(market);
  expect((await market.client.keys('ratings/*')).length).toBe(401);
});
