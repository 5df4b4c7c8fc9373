import { type Database, openDatabase } from '@tradewind/database/database';
import { migrateDown, migrateUp } from '@tradewind/database/migrate';
import { readEnvironment } from '@tradewind/process/environment';
import { createDatabase } from '@tradewind/testing/postgres';
import { expect, test } from 'vitest';
import { markDue, onDue, settleDue, takeDue } from '../redis/due.ts';
import { standingOf, startOver, wantProjection } from '../redis/epoch.ts';
import { redisSettings } from '../redis/settings.ts';
import { rate, schema } from './read-model.ts';

const TALK = 'flight-of-the-gopher';

async function openWanted() {
  await using scope = new AsyncDisposableStack();
  const { url } = scope.use(await createDatabase('ratings'));
  const database = scope.use(await openDatabase({ url, schema, name: 'test', poolSize: 5 }));
  await migrateUp(database);
  await wantProjection(database);
  const kept = scope.move();
  return { database, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

async function notes({ pool }: Database): Promise<{ subject: string; revision: string; since: Date }[]> {
  return (await pool.query('SELECT subject, revision, since FROM projection_due ORDER BY subject')).rows;
}

test('a change is noted with its newest revision, and since the first that waits', async () => {
  await using market = await openWanted();
  const { database } = market;
  await rate(database, [TALK, 5], ['product/1', 1]);
  const first = await notes(database);
  expect(first.map(({ subject, revision }) => [subject, revision])).toEqual([
    [TALK, '1'],
    ['product/1', '1'],
  ]);
  await rate(database, [TALK, 5]);
  const second = await notes(database);
  expect(second.map(({ revision }) => revision)).toEqual(['2', '1']);
  expect(second.map(({ since }) => since)).toEqual(first.map(({ since }) => since));
  await database.transaction((em) =>
    markDue(em, [
      { subject: TALK, revision: 3 },
      { subject: TALK, revision: 4 },
    ]),
  );
  expect((await notes(database))[0]?.revision).toBe('4');
  const { rows } = await takeDue(database, 1);
  expect(rows).toMatchObject([
    { subject: TALK, revision: '2', count_1: '0', count_5: '2', changed: expect.stringMatching(/^\d{13}$/) },
  ]);
});

test('what has changed since it was looked at stays, and is due since then; what is changing stays as it is', async () => {
  await using market = await openWanted();
  const { database } = market;
  await rate(database, ['a', 1], ['b', 1], ['c', 1]);
  await database.pool.query(`UPDATE projection_due SET since = now() - interval '1 hour'`);
  const taken = await takeDue(database, 10);
  const [inside, end] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  await rate(database, ['b', 1]);
  const changing = database.transaction(async (em) => {
    await rate({ transaction: (work) => work(em) }, ['c', 1]);
    inside.resolve();
    await end.promise;
  });
  await inside.promise;
  expect(await settleDue(database, taken)).toBe(2);
  end.resolve();
  await changing;
  const [b, c, ...others] = await notes(database);
  expect(others).toEqual([]);
  expect([b?.subject, b?.revision, c?.subject, c?.revision]).toEqual(['b', '2', 'c', '2']);
  expect(b?.since).toEqual(taken.rows[0]?.at);
  expect((await standingOf(database, 3_000_000)).behind).toBe(true);
  // The one that was locked is due for an hour still; at the next time it is not any more.
  expect(await settleDue(database, await takeDue(database, 10))).toBe(0);
  expect(await standingOf(database, 0)).toMatchObject({ behind: false, wanted: true });
});

test('what was looked at under another epoch settles nothing', async () => {
  await using market = await openWanted();
  const { database } = market;
  await rate(database, [TALK, 5]);
  await rate(database, [TALK, 5]);
  const old = await takeDue(database, 10);
  await database.transaction(async (em) => {
    await em.execute('UPDATE tally SET revision = 1');
    await markDue(em, [{ subject: TALK, revision: 1 }]);
    await startOver(em);
  });
  expect(await settleDue(database, old)).toBe(1);
  expect(await notes(database)).toHaveLength(1);
  const { epoch } = await standingOf(database, 0);
  expect(epoch).not.toBe(old.epoch);
  expect(await settleDue(database, await takeDue(database, 10))).toBe(0);
});

test('a subject without a tally is due with nothing; a rolled back change is not due, and wakes nobody', async () => {
  await using market = await openWanted();
  const { database } = market;
  let woken = 0;
  {
    using _ = onDue(database, () => {
      woken++;
    });
    await database.transaction((em) => markDue(em, [{ subject: 'gone', revision: 7 }]));
    expect(woken).toBe(1);
    await database.transaction((em) => markDue(em, []));
    const rolledBack = database.transaction(async (em) => {
      await markDue(em, [{ subject: TALK, revision: 1 }]);
      throw new Error('no');
    });
    await expect(rolledBack).rejects.toThrow('no');
    expect(woken).toBe(1);
  }
  await database.transaction((em) => markDue(em, [{ subject: 'gone', revision: 8 }]));
  expect(woken).toBe(1);
  expect((await takeDue(database, 10)).rows).toMatchObject([
    { subject: 'gone', revision: '8', count_3: '0' },
  ]);
});

test('the schema goes backwards and forwards again, to another epoch', async () => {
  await using market = await openWanted();
  const { database } = market;
  const { epoch } = await standingOf(database, 0);
  expect(epoch).toMatch(/^[0-9a-f]{12}$/);
  expect(await migrateDown(database)).toEqual(['0002-projection']);
  expect(await migrateUp(database)).toEqual(['0002-projection']);
  expect(await standingOf(database, 0)).toMatchObject({ wanted: false, behind: false });
  expect((await standingOf(database, 0)).epoch).not.toBe(epoch);
});

test('REDIS_URL may be left out, is a secret, and names its protocols', () => {
  const read = (env: Record<string, string>) => readEnvironment(redisSettings, { env });
  expect(read({})).toEqual({ REDIS_URL: undefined, REDIS_TIMEOUT: 100 });
  expect(read({ REDIS_URL: 'rediss://me:pw@host', REDIS_TIMEOUT: '1s' }).REDIS_TIMEOUT).toBe(1_000);
  const wrong = () => read({ REDIS_URL: 'http://me:hush@host' });
  expect(wrong).toThrow('REDIS_URL must be a URL that begins with redis:// or rediss://');
  expect(wrong).not.toThrow('hush');
});
