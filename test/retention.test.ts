import { OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { type Database, openDatabase } from '@tradewind/database/database';
import { migrateUp } from '@tradewind/database/migrate';
import { topicOf } from '@tradewind/messaging/contract';
import { cleanOnce, inboxChores } from '@tradewind/messaging/housekeeping';
import type { EventLog } from '@tradewind/messaging/log';
import { openPostgresLog } from '@tradewind/messaging/postgres-log';
import { startRelay } from '@tradewind/messaging/relay';
import { createLogger } from '@tradewind/telemetry/logger';
import { type Sent, statementsOf } from '@tradewind/testing/plans';
import { createDatabase } from '@tradewind/testing/postgres';
import { Client } from 'pg';
import { expect, test } from 'vitest';
import { service as orderService } from '../services/order/service.ts';

/** A million in all, over outbox, inbox and log; RETENTION_ROWS=1000000 for as many in each. */
const ROWS = Number(process.env.RETENTION_ROWS ?? 340_000);
const logger = createLogger({ service: 'test', level: 'silent' });
const WEEK_MS = 7 * 86_400_000;
const topic = topicOf(OrderCreatedSchema).name;
const kept = topicOf(RatedSchema);

async function openOrderDatabase() {
  await using scope = new AsyncDisposableStack();
  const { url } = scope.use(await createDatabase('order'));
  const database = scope.use(
    await openDatabase({ url, schema: orderService.schema, name: 'test', statementTimeoutMs: 0 }),
  );
  await migrateUp(database);
  const kept = scope.move();
  return { url, database, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Pages of 8 KiB that a relation and its indexes take. */
async function pagesOf(database: Pick<Database, 'pool'>, table: string): Promise<number> {
  const { rows } = await database.pool.query('SELECT pg_total_relation_size($1::regclass) / 8192 AS pages', [
    table,
  ]);
  return Number(rows[0].pages);
}

/** Pages that a statement looks at, when it is run. */
async function looksAt({ pool }: Pick<Database, 'pool'>, { text, values }: Sent): Promise<number> {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    const { rows } = await client.query(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${text}`, [...values]);
    const [{ Plan: plan }] = rows[0]['QUERY PLAN'];
    return plan['Shared Hit Blocks'] + plan['Shared Read Blocks'];
  } finally {
    await client.query('ROLLBACK');
    client.release();
  }
}

/** What autovacuum does at the thresholds that the tables set; the test does not wait for its minute. */
async function vacuum(url: string, ...tables: readonly string[]): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  for (const table of tables) await client.query(`VACUUM ${table}`);
  await client.end();
}

const fill = (database: Database, rows: number) =>
  database.pool.query(
    `INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, source, content_type)
     SELECT lpad(to_hex(n), 32, '0')::uuid, $1, 'key-' || n, 'test', convert_to(repeat('x', 200), 'UTF8'), 'order', 'application/json'
     FROM generate_series(1, $2::int) AS n`,
    [topic, rows],
  );

/** The relay moves so many facts; answers the statements that it sent to the service's database. */
async function relayed(
  databaseUrl: string,
  database: Database,
  log: EventLog,
  rows: number,
): Promise<Sent[]> {
  return await statementsOf(async () => {
    await fill(database, rows);
    await using _relay = startRelay({ databaseUrl, log, logger });
    const left = async () =>
      (await database.pool.query('SELECT count(*)::int AS left FROM outbox')).rows[0].left;
    await expect.poll(left, { timeout: 30_000 }).toBe(0);
  });
}

test('a million facts later the outbox is small, and the relay looks at no more pages than on the first day', async () => {
  await using order = await openOrderDatabase();
  await using server = await createDatabase('log');
  await using log = await openPostgresLog({ url: server.url, logger });
  await log.createTopics([{ name: topic, retentionMs: WEEK_MS }]);
  const { database, url } = order;
  const sent = await relayed(url, database, log, 100);
  const read = sent.find(({ text }) => /FROM outbox WHERE position/.test(text));
  if (!read) throw new Error('the relay reads the outbox by another statement than this test knows');
  const turn = { text: read.text, values: [[], ...read.values.slice(1)] };
  const look = async () => {
    await fill(database, 100);
    const pages = await looksAt(database, turn);
    await database.pool.query('DELETE FROM outbox');
    return pages;
  };
  const first = await look();
  for (let wave = 0; wave < 10; wave++) {
    await fill(database, ROWS / 10);
    await database.pool.query('DELETE FROM outbox');
    await vacuum(url, 'outbox');
  }
  expect(await pagesOf(database, 'outbox')).toBeLessThan(3_000);
  const last = await look();
  expect(last).toBeLessThanOrEqual(2 * first + 10);
  await relayed(url, database, log, 2_000);
}, 180_000);

test('a million handled events later the inbox is small: cleaned in small steps, each as cheap as the first', async () => {
  await using order = await openOrderDatabase();
  const { database, url } = order;
  await database.pool.query(
    `INSERT INTO inbox (consumer_group, source, id, state, handled_at)
     SELECT 'order', 'stock', lpad(n::text, 36, '0'), 'done', now() - interval '20 days' + n * interval '1 second'
     FROM generate_series(1, $1::int) AS n`,
    [ROWS],
  );
  await vacuum(url, 'inbox');
  const before = await pagesOf(database, 'inbox');
  const chores = inboxChores(WEEK_MS);
  const [done] = chores;
  if (!done) throw new Error('no chores');
  const step = { text: done.sql, values: [2_000] };
  const first = await looksAt(database, step);
  const { signal } = new AbortController();
  const removed = await cleanOnce({ database, chores, logger, signal });
  expect(removed['inbox: done']).toBe(ROWS);
  // At the worst, when all dead rows are still there, a step looks through them once; it never gets in anybody's way.
  const heap = async () => {
    const { rows } = await database.pool.query(`SELECT pg_relation_size('inbox') / 8192 AS pages`);
    return Number(rows[0].pages);
  };
  expect(await looksAt(database, step)).toBeLessThanOrEqual(first + (await heap()));
  await vacuum(url, 'inbox');
  const { rows } = await database.pool.query('SELECT count(*)::int FROM inbox');
  expect(rows).toEqual([{ count: 0 }]);
  // Of the index the pages stay for the next rows; the table itself is as small as at first, and so is the work of a step.
  expect(await heap()).toBeLessThanOrEqual(2);
  expect(await looksAt(database, step)).toBeLessThan(10);
  expect(await pagesOf(database, 'inbox')).toBeLessThan(before);
}, 180_000);

test('a million expired records later the log is small, in small steps, and reading is as cheap', async () => {
  await using server = await createDatabase('log');
  await using log = await openPostgresLog({ url: server.url, logger, retentionEveryMs: 200 });
  await using database = await openDatabase({
    url: server.url,
    schema: { entities: [], steps: [] },
    name: 'test',
    statementTimeoutMs: 0,
  });
  await log.createTopics([
    { name: topic, partitions: 2, retentionMs: WEEK_MS },
    // Of which a read model is made again from the first record.
    { name: kept.name, partitions: 1, retentionMs: kept.retentionMs },
  ]);
  await using producer = await log.producer();
  const heap = async () => {
    const { rows } = await database.pool.query(`SELECT pg_relation_size('event_log.record') / 8192 AS pages`);
    return Number(rows[0].pages);
  };
  const expire = async (name: string, from: number, count: number) =>
    database.pool.query(
      `WITH one AS (SELECT id FROM event_log.topic WHERE name = $1),
       moved AS (UPDATE event_log.partition SET next_offset = $2::int + $3::int WHERE topic_id = (SELECT id FROM one))
       INSERT INTO event_log.record SELECT (SELECT id FROM one), p.partition, n, 'key', 'x', '{}', now() - interval '8 days'
       FROM event_log.partition p, generate_series($2::int, $2::int + $3::int - 1) AS n WHERE p.topic_id = (SELECT id FROM one)`,
      [name, from, count],
    );
  const starts = async () => (await log.bounds(topic)).map(({ start }) => start);
  const half = ROWS / 4;
  await expire(kept.name, 0, 1_000);
  let before = 0;
  for (const from of [0, half]) {
    await expire(topic, from, half);
    before ||= await heap();
    const end = BigInt(from + half);
    await expect.poll(starts, { timeout: 120_000, interval: 100 }).toEqual([end, end]);
    await vacuum(server.url, 'event_log.record');
  }
  await producer.append([{ topic, key: 'new', value: Buffer.from('{}'), headers: {} }]);
  const { rows } = await database.pool.query('SELECT count(*)::int FROM event_log.record');
  expect(rows).toEqual([{ count: 1_001 }]);
  expect(await heap()).toBeLessThan(before / 20);
  const reads = await statementsOf(() => log.read({ topic, partition: 0, offset: BigInt(2 * half) }, 10));
  const [read] = reads.filter(({ text }) => text.includes('event_log.record'));
  if (!read) throw new Error('the log is read by another statement than this test knows');
  expect(await looksAt(database, read)).toBeLessThan(20);
}, 180_000);

test('records are kept as long as whoever asks for most wants, also of a topic that is there already', async () => {
  await using server = await createDatabase('log');
  await using log = await openPostgresLog({ url: server.url, logger });
  await using database = await openDatabase({
    url: server.url,
    schema: { entities: [], steps: [] },
    name: 'test',
  });
  const askedFor = async (retentionMs: number | null) => {
    await log.createTopics([{ name: topic, retentionMs }]);
    const { rows } = await database.pool.query('SELECT retention_ms FROM event_log.topic');
    return rows[0].retention_ms;
  };
  expect(await askedFor(WEEK_MS)).toBe(String(WEEK_MS));
  expect(await askedFor(2 * WEEK_MS)).toBe(String(2 * WEEK_MS));
  // A process of an older release that starts again.
  expect(await askedFor(WEEK_MS)).toBe(String(2 * WEEK_MS));
  expect(await askedFor(null)).toBe(null);
  expect(await askedFor(WEEK_MS)).toBe(null);
});
