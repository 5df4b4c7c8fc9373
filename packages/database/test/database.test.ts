import { defineEntity, p } from '@mikro-orm/core';
import { type Database, type EntityManager, openDatabase, type Schema } from '@tradewind/database/database';
import { groupCommit } from '@tradewind/database/group-commit';
import { migrateDown, migrateUp, migrationStatus, probeSchema } from '@tradewind/database/migrate';
import { run, statement } from '@tradewind/database/statement';
import { createDatabase } from '@tradewind/testing/postgres';
import { expect, test } from 'vitest';

const ThingSchema = defineEntity({
  name: 'Thing',
  tableName: 'thing',
  properties: { id: p.integer().primary(), name: p.string() },
});
class Thing extends ThingSchema.class {}
ThingSchema.setClass(Thing);

const schema: Schema = {
  entities: [ThingSchema],
  steps: [
    {
      name: '0001-thing',
      up: ['CREATE TABLE thing (id int PRIMARY KEY, name text NOT NULL)'],
      down: ['DROP TABLE thing'],
    },
    {
      name: '0002-index',
      up: ['CREATE UNIQUE INDEX thing_name ON thing (name)'],
      down: ['DROP INDEX thing_name'],
    },
  ],
};
const insertThings = statement<{ id: number }>(
  'INSERT INTO thing (id, name) SELECT * FROM unnest($1::int[], $2::text[]) RETURNING id',
);

async function open(): Promise<Database & AsyncDisposable> {
  const server = await createDatabase('database');
  const database = await openDatabase({ url: server.url, schema, name: 'test' });
  return {
    ...database,
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

test('schema steps go forwards, backwards, and tell where they stand', async () => {
  await using database = await open();
  await expect(probeSchema(database)).rejects.toThrow('schema steps are missing: 0001-thing, 0002-index');
  expect(await migrateUp(database)).toEqual(['0001-thing', '0002-index']);
  expect(await migrateUp(database)).toEqual([]);
  await probeSchema(database);
  expect(await migrateDown(database)).toEqual(['0002-index']);
  expect(await migrationStatus(database)).toMatchObject({
    applied: [{ name: '0001-thing' }],
    pending: ['0002-index'],
  });
});

test('processes that migrate at the same time wait for each other', async () => {
  await using database = await open();
  await using twin = await openDatabase({
    url: database.pool.options.connectionString ?? '',
    schema,
    name: 'twin',
  });
  const applied = await Promise.all([migrateUp(database), migrateUp(twin)]);
  expect(applied.flat().toSorted()).toEqual(['0001-thing', '0002-index']);
});

test('hot statements run in the unit of work’s transaction, prepared under a name of their own', async () => {
  await using database = await open();
  await migrateUp(database);
  await database.transaction(async (em) => {
    expect(
      await run(em, insertThings, [
        [1, 2],
        ['a', 'b'],
      ]),
    ).toEqual([{ id: 1 }, { id: 2 }]);
    expect(await em.count(Thing)).toBe(2);
    const prepared = await em.execute<{ statement: string }[]>(
      'SELECT statement FROM pg_prepared_statements',
    );
    expect(prepared.map((row) => row.statement)).toContain(insertThings.text);
  });
  await expect(
    database.transaction(async (em) => {
      await run(em, insertThings, [[3], ['c']]);
      throw new Error('no');
    }),
  ).rejects.toThrow('no');
  expect(await database.read().count(Thing)).toBe(2);
  await expect(run(database.read(), insertThings, [[4], ['d']])).rejects.toThrow('outside of a transaction');
});

test('concurrent requests share a commit, and a bad one hurts only itself', async () => {
  await using database = await open();
  await migrateUp(database);
  const batches: number[] = [];
  const insert = groupCommit<{ id: number; name: string }, number>(
    database,
    async (em, requests) => {
      batches.push(requests.length);
      const rows = await run(em, insertThings, [
        requests.map(({ id }) => id),
        requests.map(({ name }) => name),
      ]);
      return rows.map(({ id }) => id);
    },
    { lanes: 1 },
  );
  const good = await Promise.all(Array.from({ length: 100 }, (_, id) => insert({ id, name: `n${id}` })));
  expect(good).toEqual(Array.from({ length: 100 }, (_, id) => id));
  expect(batches).toEqual([100]);
  const mixed = await Promise.allSettled([
    insert({ id: 200, name: 'n200' }),
    insert({ id: 0, name: 'taken' }),
    insert({ id: 201, name: 'n201' }),
  ]);
  expect(mixed.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
});

test('a commit whose outcome is unknown is not run again, for it may have happened', async () => {
  await using database = await open();
  await migrateUp(database);
  let cut = true;
  const unsure = {
    async transaction<T>(work: (em: EntityManager) => Promise<T>): Promise<T> {
      const result = await database.transaction(work);
      if (cut) throw Object.assign(new Error('the answer got lost'), { code: 'EPIPE_OF_SOME_KIND' });
      return result;
    },
  };
  const insert = groupCommit<number, number>(
    unsure,
    async (em, ids) => (await run(em, insertThings, [ids, ids.map((id) => `n${id}`)])).map(({ id }) => id),
    { lanes: 1 },
  );
  const answers = await Promise.allSettled([insert(1), insert(2)]);
  expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  cut = false;
  expect(await insert(3)).toBe(3);
  expect(await database.read().count(Thing)).toBe(3);
});

test('requests whose callers have gone do not run, and more than can wait are refused', async () => {
  await using database = await open();
  await migrateUp(database);
  const blocked = Promise.withResolvers<void>();
  const seen: number[] = [];
  const insert = groupCommit<number, number>(
    database,
    async (em, ids) => {
      seen.push(...ids);
      await blocked.promise;
      return (await run(em, insertThings, [ids, ids.map((id) => `n${id}`)])).map(({ id }) => id);
    },
    { lanes: 1, maxWaiting: 2 },
  );
  const first = insert(1);
  await expect.poll(() => seen).toEqual([1]);
  let gone = false;
  const second = insert(2, () => gone);
  const third = insert(3);
  await expect(insert(4)).rejects.toThrow('too many requests wait already');
  gone = true;
  blocked.resolve();
  expect(await first).toBe(1);
  await expect(second).rejects.toThrow('the caller has gone');
  expect(await third).toBe(3);
  expect(seen).toEqual([1, 3]);
});

test('a request that waits for a lock does not make the others wait for it', async () => {
  await using database = await open();
  await migrateUp(database);
  const insert = groupCommit<number, number>(
    database,
    async (em, ids) => (await run(em, insertThings, [ids, ids.map((id) => `n${id}`)])).map(({ id }) => id),
    { lanes: 1 },
  );
  const other = await database.pool.connect();
  await other.query('BEGIN');
  await other.query(`INSERT INTO thing (id, name) VALUES (1, 'held')`);
  const held = insert(1);
  const free = await Promise.all(Array.from({ length: 20 }, (_, n) => insert(n + 2)));
  expect(free).toHaveLength(20);
  await other.query('ROLLBACK');
  other.release();
  expect(await held).toBe(1);
});
