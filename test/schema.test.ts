import { openDatabase, type Schema } from '@tradewind/database/database';
import { migrateDown, migrateUp, migrationStatus } from '@tradewind/database/migrate';
import { openLog } from '@tradewind/messaging/open-log';
import { createLogger } from '@tradewind/telemetry/logger';
import { createDatabase } from '@tradewind/testing/postgres';
import { Client } from 'pg';
import { expect, test } from 'vitest';
import { service as order } from '../services/order/service.ts';
import { service as product } from '../services/product/service.ts';
import { service as ratings } from '../services/ratings/service.ts';
import { service as stock } from '../services/stock/service.ts';

const schemas: [string, Schema][] = [order, product, ratings, stock].map(({ name, schema }) => [
  name,
  schema,
]);

async function ask(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
const unlogged = `SELECT relname FROM pg_class WHERE relpersistence <> 'p' AND relnamespace::regnamespace::text NOT LIKE 'pg\\_%'`;

test.each(schemas)('%s: every step has its way back, and nothing is unlogged', async (name, schema) => {
  await using server = await createDatabase(name);
  await using database = await openDatabase({ url: server.url, schema, name });
  const columns = `SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns
    WHERE table_schema = 'public' ORDER BY table_name, column_name`;
  await migrateUp(database);
  const first = await ask(server.url, columns);
  expect(await ask(server.url, unlogged)).toEqual([]);
  for (const step of schema.steps.toReversed()) expect(await migrateDown(database)).toEqual([step.name]);
  expect((await ask(server.url, columns)).filter((row) => row.table_name !== 'schema_step')).toEqual([]);
  expect((await migrationStatus(database)).pending).toEqual(schema.steps.map((step) => step.name));
  await migrateUp(database);
  expect(await ask(server.url, columns)).toEqual(first);
});

test('nothing of the log is unlogged', async () => {
  await using server = await createDatabase('log');
  await using _log = await openLog({
    url: server.url,
    logger: createLogger({ service: 'test', level: 'silent' }),
  });
  expect(await ask(server.url, unlogged)).toEqual([]);
});
