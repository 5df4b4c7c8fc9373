import { openDatabase } from '@tradewind/database/database';
import { migrateDown, migrateUp } from '@tradewind/database/migrate';
import { createDatabase } from '@tradewind/testing/postgres';
import { expect, test } from 'vitest';
import { service } from '../service.ts';

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
