import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { RatingProcessOptions } from './rating-process.ts';
import { countsOf, expectSame, type Market, openMarket, project } from './ratings-market.ts';
import { rate } from './read-model.ts';

const program = fileURLToPath(new URL('rating-process.ts', import.meta.url));
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
    await using child = start(market, { once: [[TALK, 4]] });
    await expect.poll(() => client.hgetall(`ratings/${TALK}`)).toEqual({ 5: '1' });
    await expect.poll(() => waitingFor(market, 'projection_due')).toBeGreaterThan(0);
    await child.kill();
  } finally {
    await wall.query('ROLLBACK');
    wall.release();
  }
  const before = await client.get(`ratings-revision/${TALK}`);
  expect(await due(market)).toEqual([TALK]);
  await using _ = project(market);
  await expect.poll(() => due(market)).toEqual([]);
  // The rating of the one that was killed did not commit, or did; its server finds out on its own.
  const counts = await countsOf(market);
  if (counts[TALK]?.['4'] === undefined) expect(await client.get(`ratings-revision/${TALK}`)).toBe(before);
  await expectSame(market);
});

test('killed in the middle of a refill: nobody reads what is half there, and another fills it', async () => {
  await using market = await openMarket();
  const { client, database } = market;
  await rate(database, ...Array.from({ length: 700 }, (_, n) => [`product/${n}`, 3] as const));
  await using reader = project(market, { works: false });
  const wall = await database.pool.connect();
  try {
    await using child = start(market, { once: [] });
    // The first page is there; the second one can't be read.
    await client.config('SET', 'maxmemory', '0');
    await expect
      .poll(
        async () => {
          if ((await client.exists('ratings-refill')) === 0) return false;
          await wall.query('BEGIN; LOCK TABLE tally IN ACCESS EXCLUSIVE MODE');
          if ((await client.exists('ratings-refill')) === 1 && (await client.exists('ratings-marker')) === 0)
            return true;
          await wall.query('ROLLBACK');
          await client.flushall();
          return false;
        },
        { interval: 1 },
      )
      .toBe(true);
    await child.kill();
    expect(await client.get('ratings-marker')).toBe(null);
    expect(await client.pttl('ratings-refill')).toBeLessThanOrEqual(10_000);
  } finally {
    await wall.query('ROLLBACK');
    wall.release();
  }
  await using _ = project(market);
  expect((await reader.counts(['product/0'])).size).toBe(0);
  await expectSame(market);
});

test('processes that are killed again and again lose nothing and count nothing twice', async () => {
  await using market = await openMarket();
  const children = [start(market), start(market)];
  try {
    for (let kills = 0; kills < 12; kills++) {
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
  const { rows } = await market.database.pool.query<{ sum: string; most: string }>(
    'SELECT sum(count_1 + count_2 + count_3 + count_4 + count_5) AS sum, max(revision) AS most FROM tally',
  );
  expect(Number(rows[0]?.sum)).toBeGreaterThan(100);
});
