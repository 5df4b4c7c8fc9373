import { connectionsOf, contentsOf } from '@tradewind/database/contents';
import { type Database, openDatabase, type Schema, type SchemaStep } from '@tradewind/database/database';
import { migrateDown, migrateReset, migrateUp, migrationStatus } from '@tradewind/database/migrate';
import { createDatabase } from '@tradewind/testing/postgres';
import { afterEach, beforeEach, expect, test } from 'vitest';

const steps: readonly SchemaStep[] = [
  {
    name: '0001-thing',
    up: ['CREATE TABLE thing (id int PRIMARY KEY)'],
    down: ['DROP TABLE thing'],
  },
  {
    name: '0002-other',
    up: ['CREATE TABLE other (id int)', 'ALTER TABLE thing ADD name text'],
    down: ['DROP TABLE other', 'ALTER TABLE thing DROP name'],
  },
  { name: '0003-index', up: ['CREATE INDEX thing_name ON thing (name)'], down: ['DROP INDEX thing_name'] },
];
const names = steps.map(({ name }) => name);
const reversed = names.toReversed();

let scope: AsyncDisposableStack;
let url: string;
let database: Database;
beforeEach(async () => {
  scope = new AsyncDisposableStack();
  url = scope.use(await createDatabase('reset')).url;
  database = await open(steps);
});
afterEach(() => scope.disposeAsync());

async function open(steps: Schema['steps'], name = 'test'): Promise<Database> {
  return scope.use(await openDatabase({ url, schema: { entities: [], steps }, name }));
}

const run = (sql: string) => database.pool.query(sql);
const statusOf = async () => {
  const { applied, pending } = await migrationStatus(database);
  return { applied: applied.map(({ name }) => name), pending };
};

test('a reset takes every step back, the newest first, and applies all again: nothing of the data is left', async () => {
  await migrateUp(database);
  await run(`INSERT INTO thing (id, name) SELECT n, 'x' FROM generate_series(1, 1000) n`);
  expect(await migrateReset(database)).toEqual({ down: reversed, up: names });
  expect(await statusOf()).toEqual({ applied: names, pending: [] });
  expect(await contentsOf(database)).toEqual([]);
  expect(await migrateReset(database)).toEqual({ down: reversed, up: names });
});

test('a database that has no steps, or some, gets all of them', async () => {
  expect(await migrateReset(database)).toEqual({ down: [], up: names });
  await migrateDown(database);
  expect(await migrateReset(database)).toEqual({ down: ['0002-other', '0001-thing'], up: names });
});

test('steps that were applied in another order than they are listed go in the order of their application', async () => {
  const [thing, other, index] = steps as [SchemaStep, SchemaStep, SchemaStep];
  await migrateUp(await open([thing, index].map((step) => ({ ...step, up: [], down: [] }))));
  await run('CREATE TABLE thing (id int, name text)');
  const late = await open([
    thing,
    { ...other, up: ['CREATE TABLE other (id int)'], down: ['DROP TABLE other'] },
    { ...index, up: [], down: [] },
  ]);
  await migrateUp(late);
  expect((await migrateReset(late)).down).toEqual(['0002-other', '0003-index', '0001-thing']);
});

test('a way back that fails half-way changes nothing of its own step, and the next reset goes on from there', async () => {
  await migrateUp(database);
  await run('INSERT INTO thing (id) VALUES (1)');
  await run('CREATE VIEW watching AS SELECT name FROM thing');
  await expect(migrateReset(database)).rejects.toThrow(/cannot drop column name/);
  // Of the second step the table is back, though its drop came first.
  expect(await statusOf()).toEqual({ applied: ['0001-thing', '0002-other'], pending: ['0003-index'] });
  await run('INSERT INTO other (id) VALUES (1)');
  await run('DROP VIEW watching');
  expect(await migrateReset(database)).toEqual({ down: ['0002-other', '0001-thing'], up: names });
  expect(await statusOf()).toEqual({ applied: names, pending: [] });
  expect(await contentsOf(database)).toEqual([]);
});

test('a way forward that fails leaves steps that are missing, and either command goes on from there', async () => {
  await migrateUp(database);
  const broken = await open(
    steps.map((step) => (step.name === '0002-other' ? { ...step, up: ['SELECT 1/0'] } : step)),
  );
  await expect(migrateReset(broken)).rejects.toThrow('division by zero');
  expect(await statusOf()).toEqual({ applied: ['0001-thing'], pending: ['0002-other', '0003-index'] });
  expect(await migrateReset(database)).toEqual({ down: ['0001-thing'], up: names });
});

test('a step of another release is not taken back by one that does not know it, and nothing is', async () => {
  await migrateUp(database);
  await run('INSERT INTO thing (id) VALUES (1)');
  const older = await open(steps.slice(0, 2));
  const why = /does not know the way back of 0003-index/;
  await expect(migrateReset(older)).rejects.toThrow(why);
  await expect(migrateDown(older)).rejects.toThrow(why);
  expect(await statusOf()).toEqual({ applied: names, pending: [] });
  expect(await contentsOf(database)).toEqual([{ table: 'thing', rows: 1, more: false }]);
});

test('resets at the same time wait for each other', async () => {
  await migrateUp(database);
  const twin = await open(steps, 'twin');
  const both = await Promise.all([migrateReset(database), migrateReset(twin)]);
  expect(both).toEqual([
    { down: reversed, up: names },
    { down: reversed, up: names },
  ]);
});

test('what a database holds is counted exactly up to a bound, the fullest table first', async () => {
  await migrateUp(database);
  await run('CREATE TABLE "a ""quoted"" one" (id int)');
  await run('INSERT INTO other SELECT n FROM generate_series(1, 100001) n');
  await run('INSERT INTO thing (id) SELECT n FROM generate_series(1, 100000) n');
  await run('INSERT INTO "a ""quoted"" one" VALUES (1), (2)');
  expect(await contentsOf(database)).toEqual([
    { table: 'other', rows: 100_000, more: true },
    { table: 'thing', rows: 100_000, more: false },
    { table: 'a "quoted" one', rows: 2, more: false },
  ]);
});

test('connections are counted by their names, those of this database alone', async () => {
  const other = await open(steps, 'order');
  await Promise.all([other.pool.query('SELECT pg_sleep(0.01)'), other.pool.query('SELECT pg_sleep(0.01)')]);
  const elsewhere = scope.use(await createDatabase('elsewhere'));
  const far = scope.use(
    await openDatabase({ url: elsewhere.url, schema: { entities: [], steps: [] }, name: 'order' }),
  );
  await far.probe();
  expect(await connectionsOf(database, ['order', 'order listener'])).toEqual([
    { name: 'order', connections: 2 },
  ]);
  expect(await connectionsOf(database, ['stock'])).toEqual([]);
});
