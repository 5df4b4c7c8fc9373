import { randomInt } from 'node:crypto';
import { delay } from '@tradewind/process/backoff';
import { expect, test } from 'vitest';
import { countsOf, expectSame, type Market, openMarket, project, type Running } from './ratings-market.ts';
import { type Rating, rate, type Written } from './read-model.ts';

const SUBJECTS = Array.from({ length: 300 }, (_, n) => `product/${n}`);
const HOT = 'flight-of-the-gopher';
/** What a reader may lag behind PostgreSQL at worst, in ms, and what this machine may take to notice. */
const BEHIND_MS = 5_000 + 1_000;

interface Seen {
  readonly subject: string;
  readonly revision: number;
  readonly counts: readonly number[];
  readonly at: number;
}

type Committed = Written & { readonly at: number };

const now = () => performance.now();
const anyOf = <T>(list: readonly T[]) => list[randomInt(list.length)] as T;

/** Rates all the time, the hot one each time; what was committed, and when that was known at the latest. */
async function write({ database }: Market, history: Committed[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const cold = Array.from({ length: randomInt(1, 5) }, (): Rating => [anyOf(SUBJECTS), randomInt(1, 6)]);
    const rows = await rate(database, [HOT, randomInt(1, 6)], ...cold);
    for (const row of rows) history.push({ ...row, at: now() });
  }
}

/** Reads all the time what Redis knows. */
async function read(one: Running, seen: Seen[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const at = now();
    for (const [subject, { counts, revision }] of await one.counts([
      HOT,
      ...Array.from({ length: 10 }, () => anyOf(SUBJECTS)),
    ]))
      seen.push({ subject, revision, counts, at });
    await delay(1);
  }
}

/** Each answer is what PostgreSQL had at that revision, and is not older than it may be. */
function judge(seen: readonly Seen[], history: readonly Committed[]): void {
  const known = new Map(history.map((row) => [`${row.subject} ${row.revision}`, row]));
  for (const { subject, revision, counts } of seen)
    expect({ subject, revision, counts }).toEqual({
      subject,
      revision,
      counts: known.get(`${subject} ${revision}`)?.counts,
    });
  const bySubject = Map.groupBy(history, ({ subject }) => subject);
  const old = seen.filter(({ subject, revision, at }) =>
    bySubject.get(subject)?.some((row) => row.revision > revision && row.at < at - BEHIND_MS),
  );
  expect(old).toEqual([]);
}

/** Writers, readers and projectors, while somebody does something to Redis so many times; then everything must be the same everywhere. */
async function underLoad(
  market: Market,
  times: number,
  harm: (n: number) => Promise<unknown>,
): Promise<{ answers: number; lost: number }> {
  await using first = project(market);
  await using second = project(market);
  const [history, seen]: [Committed[], Seen[]] = [[], []];
  const stop = new AbortController();
  const all = [
    ...Array.from({ length: 3 }, () => write(market, history, stop.signal)),
    ...[first, second].map((one) => read(one, seen, stop.signal)),
  ];
  const failed = Promise.race(all);
  for (let n = 0; n < times; n++) {
    await Promise.race([failed, harm(n)]);
    // Some come while the store is filled still, some long after.
    await delay(randomInt(n % 3 === 0 ? 1_500 : 100));
  }
  stop.abort();
  await Promise.all(all);
  await expectSame(market);
  judge(seen, history);
  const counts = await countsOf(market);
  for (const one of [first, second]) {
    await expect
      .poll(async () => (await one.counts([...SUBJECTS, HOT])).size)
      .toBe(Object.keys(counts).length);
    for (const [subject, tally] of await one.counts([...SUBJECTS, HOT]))
      expect([1, 2, 3, 4, 5].map((n) => Number(counts[subject]?.[n] ?? 0))).toEqual(tally.counts);
  }
  let lost = 0;
  for (const one of [first, second])
    lost += await one.metric('tradewind_ratings_refills_total', 'outcome="lost"');
  return { answers: seen.length, lost };
}

test('flushed under load, also while it is filled: no answer is wrong or too old, and in the end Redis is PostgreSQL', async () => {
  await using market = await openMarket();
  const { client } = market;
  // As one script, so that it is filled at the very moment; and filled again when that came too late.
  const whenFilled = `
    if redis.call('EXISTS', 'ratings-refill') == 1 then redis.call('FLUSHALL') return 1 end
    redis.call('DEL', 'ratings-marker') return 0`;
  const { answers, lost } = await underLoad(market, 30, async (n) => {
    if (n % 2 === 0) return await client.flushall();
    await expect.poll(() => client.eval(whenFilled, 0), { interval: 1 }).toBe(1);
  });
  expect(answers).toBeGreaterThan(100);
  expect(lost).toBeGreaterThan(0);
});

test('killed, held and brought back with old data under load: the same', async () => {
  await using market = await openMarket({ dbfilename: 'old.rdb' });
  const { redis } = market;
  const { answers } = await underLoad(market, 9, async (n) => {
    if (n % 3 === 0) await redis.ask('SAVE');
    if (n % 3 === 1) {
      await redis.kill();
      await redis.start();
    }
    if (n % 3 === 2) {
      redis.hold();
      await delay(randomInt(50, 800));
      redis.release();
    }
  });
  expect(answers).toBeGreaterThan(100);
});
