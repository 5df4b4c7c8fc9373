import { openDatabase } from '@tradewind/database/database';
import { migrateDown, migrateUp } from '@tradewind/database/migrate';
import { createDatabase } from '@tradewind/testing/postgres';
import { expect, test } from 'vitest';
import { Product } from '../product.ts';
import { service } from '../service.ts';

test('a product of the release before this one has no ratings, nor has one that it adds afterwards', async () => {
  await using server = await createDatabase('product');
  const { entities, steps } = service.schema;
  const released = { entities: [], steps: steps.filter(({ name }) => name !== '0002-ratings') };
  await using before = await openDatabase({ url: server.url, schema: released, name: 'test' });
  const insert = () =>
    before.pool.query(`
      INSERT INTO product (name, description, price, currency, category, brand, thumbnail, rating, words, sort_key, created_at, updated_at, revision, deleted_at)
      VALUES ('Desk', '', 5, 'USD', '', '', '', NULL, '{}', 'desk', now(), now(), 1, NULL)`);
  await migrateUp(before);
  await insert();
  await using database = await openDatabase({ url: server.url, schema: { entities, steps }, name: 'test' });
  expect(await migrateUp(database)).toEqual(['0002-ratings']);
  await insert();
  const found = await database.read().find(Product, {}, { orderBy: { id: 'asc' } });
  const none = { rating: null, ratingCount: 0n, ratingSum: 0n };
  expect(found).toMatchObject([
    { id: 1, ...none },
    { id: 2, ...none },
  ]);
});

test('the schema goes forwards, all the way back, and forwards again', async () => {
  await using server = await createDatabase('product');
  await using database = await openDatabase({ url: server.url, schema: service.schema, name: 'test' });
  const steps = service.schema.steps.map(({ name }) => name);
  const tables = async () => {
    const { rows } = await database.pool.query(
      `SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_step' ORDER BY 1`,
    );
    return rows.map(({ tablename }) => tablename);
  };
  expect(await migrateUp(database)).toEqual(steps);
  const there = await tables();
  expect(there).toContain('product');
  for (const step of steps.toReversed()) expect(await migrateDown(database)).toEqual([step]);
  expect(await tables()).toEqual([]);
  await migrateUp(database);
  expect(await tables()).toEqual(there);
});
