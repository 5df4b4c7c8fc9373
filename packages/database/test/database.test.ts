import { defineEntity, p } from '@mikro-orm/core';
import { type Database, openDatabase, type Schema } from '@tradewind/database/database';
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
