import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createLogger } from '@tradewind/telemetry/logger';
import { expect, test } from 'vitest';
import { standingOf, wantProjection } from '../redis/epoch.ts';
import { Link } from '../redis/link.ts';
import { refill } from '../redis/refilling.ts';
import { Store } from '../redis/store.ts';
import { talliesOf } from '../redis/tallies.ts';
import type { RatingProcessOptions } from './rating-process.ts';
import { expectSame, type Market, openMarket, project, readFrom } from './ratings-market.ts';
import { rate } from './read-model.ts';

const program = fileURLToPath(new URL('rating-process.ts', import.meta.url));
const logger = createLogger({ service: 'test', level: 'silent' });
const TALK = 'flight-of-the-gopher';

interface Child extends AsyncDisposable {
  readonly process: ChildProcess;
  readonly commits: () => number;
  readonly kill: () => Promise<void>;
}

function start({ databaseUrl, redis }: Market, options: Partial<RatingProcessOptions> = {}): Child {
  const argument: RatingProcessOptions = { databaseUrl, redisUrl: redis.url, ...options };
  const child = spawn(process.execPath, [program, JSON.stringify(argument)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const ended = once(child, 'exit');
  const kill = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  return {
    process: child,
    commits: () => text.split('committed').length - 1,
    kill,
    [Symbol.asyncDispose]: kill,
  };
}

async function due({ database }: Market): Promise<string[]> {
  const { rows } = await database.pool.query<{ subject: string }>(
    'SELECT subject FROM projection_due ORDER BY subject',
  );
  return rows.map(({ subject }) => subject);
}

/** Ends what the killed process's sessions still do. */
async function endSessions({ database }: Market): Promise<void> {
  const ended = `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'child' AND datname = current_database()`;
  await database.pool.query(ended);
}

/** Who waits for a lock on a table. */
async function waitingFor({ database }: Market, table: string): Promise<number> {
  const { rows } = await database.pool.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM pg_locks WHERE relation = $1::regclass AND NOT granted`,
    [table],
  );
  return rows[0]?.count ?? 0;
}

test('killed after its commit and before Redis: another goes on from the note', async () => {
  await using market = await openMarket();
  {
    await using _ = project(market);
    await expectSame(market);
  }
  await market.redis.kill();
  await using child = start(market, {
    once: [
      [TALK, 5],
      ['product/1', 1],
    ],
  });
  await expect.poll(child.commits).toBe(1);
  await child.kill();
  expect(await due(market)).toEqual([TALK, 'product/1']);
  await market.redis.start();
  expect(await market.client.dbsize()).toBe(0);
  await using _ = project(market);
  await expectSame(market);
  expect(await market.client.hgetall(`ratings/${TALK}`)).toEqual({ 5: '1' });
});

test('killed after Redis and before it says so: another does it once more, and nothing changes', async () => {
  await using market = await openMarket();
  const { client, database } = market;
  {
    await using _ = project(market);
    await expectSame(market);
  }
  await rate(database, [TALK, 5]);
  const wall = await database.pool.connect();
  try {
    // Whoever wants to take the note away waits; whoever reads it does not.
    await wall.query('BEGIN; LOCK TABLE projection_due IN SHARE MODE');
    await using child = start(market, { once: [] });
    await expect.poll(() => client.hgetall(`ratings/${TALK}`)).toEqual({ 5: '1' });
    await expect.poll(() => waitingFor(market, 'projection_due')).toBe(1);
    await child.kill();
    // Its server would find out when it has done what it was asked to.
    await endSessions(market);
  } finally {
    await wall.query('ROLLBACK');
    wall.release();
  }
  expect(await due(market)).toEqual([TALK]);
  const before = await client.get(`ratings-revision/${TALK}`);
  await using _ = project(market);
  await expectSame(market);
  expect(await client.get(`ratings-revision/${TALK}`)).toBe(before);
});

test('killed while it fills Redis: another one does when it has given no sign of life for a while', async () => {
  await using market = await openMarket();
  const { client, database } = market;
  await rate(database, [TALK, 5]);
  const wall = await database.pool.connect();
  try {
    await wall.query('BEGIN; LOCK TABLE tally IN ACCESS EXCLUSIVE MODE');
    await using child = start(market, { once: [] });
    await expect.poll(() => client.exists('ratings-refill')).toBe(1);
    await child.kill();
    await endSessions(market);
  } finally {
    await wall.query('ROLLBACK');
    wall.release();
  }
  await using one = project(market);
  expect(await client.exists('ratings-refill', 'ratings-marker')).toBe(1);
  await expectSame(market);
  expect(await one.metric('tradewind_ratings_refills_total', 'outcome="complete"')).toBe(1);
});

test('what is half filled is not read, not filled by two, and filled anew after somebody has emptied it', async () => {
  await using market = await openMarket();
  const { client, database, redis } = market;
  await rate(database, ...Array.from({ length: 30 }, (_, n) => [`product/${n}`, 3] as const));
  await wantProjection(database);
  await using link = new Link({ url: redis.url, purpose: 'test', timeoutMs: 1_000, logger });
  await expect.poll(() => link.life).toBeDefined();
  if (!link.life) throw new Error('not connected');
  const store = new Store(link);
  const { signal } = new AbortController();
  const { epoch } = await standingOf(database, 0);
  const place = { epoch, life: link.life };
  const stopped = refill(place, signal, {
    database,
    store,
    page: 10,
    onPage: () => {
      throw new Error('killed');
    },
  });
  await expect(stopped).rejects.toThrow('killed');
  expect(await client.keys('ratings/*')).toHaveLength(10);
  await using reader = project(market, { works: false });
  await expect
    .poll(async () => {
      expect((await reader.counts(['product/0'])).size).toBe(0);
      return await reader.metric('tradewind_ratings_reads_total', 'reason="incomplete"');
    })
    .toBeGreaterThan(0);
  expect((await refill(place, signal, { database, store })).end).toBe('there');

  // Emptied before each of its steps.
  const { rows } = await talliesOf(database, ['product/0']);
  const begun = async () => {
    await client.flushall();
    const one = await store.begin(place, 'token');
    if (typeof one === 'string') throw new Error(one);
    await client.flushall();
    return one;
  };
  expect(await store.write(await begun(), rows)).toBe('lost');
  expect(await store.remove(await begun(), ['product/0'], [''])).toBe('lost');
  expect(await store.finish(await begun())).toBe('lost');
  expect(await client.dbsize()).toBe(0);
  // Emptied behind each of its pages.
  for (const emptied of [1, 2, 3, 4]) {
    await client.flushall();
    let pages = 0;
    const onPage = () => {
      if (++pages === emptied) void client.flushall();
    };
    const { end } = await refill(place, signal, { database, store, page: 10, onPage });
    expect(end).toBe('lost');
    expect(await client.exists('ratings-marker')).toBe(0);
  }
  expect(await refill(place, signal, { database, store })).toEqual({
    end: 'complete',
    tallies: 30,
    removed: 0,
  });
  expect((await readFrom(reader, 'product/0'))?.counts).toEqual([0, 0, 1, 0, 0]);
});

test('processes that are killed again and again lose nothing and count nothing twice', async () => {
  await using market = await openMarket();
  const children = [start(market), start(market)];
  try {
    for (let kills = 0; kills < 8; kills++) {
      const victim = children[kills % 2];
      if (!victim) throw new Error('nobody to kill');
      const commits = randomInt(1, 40);
      await expect.poll(victim.commits, { interval: 2 }).toBeGreaterThanOrEqual(commits);
      await victim.kill();
      if (kills % 4 === 3) await market.redis.flush();
      children[kills % 2] = start(market);
    }
  } finally {
    for (const child of children) await child.kill();
  }
  await using _ = project(market);
  await expectSame(market);
  const { rows } = await market.database.pool.query<{ sum: string }>(
    'SELECT sum(count_1 + count_2 + count_3 + count_4 + count_5) AS sum FROM tally',
  );
  expect(Number(rows[0]?.sum)).toBeGreaterThan(100);
});
