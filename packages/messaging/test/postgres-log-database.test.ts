import { Code } from '@connectrpc/connect';
import { createDatabase, type TestDatabase } from '@tradewind/testing/postgres';
import { Client } from 'pg';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { APPEND } from '../postgres-log/append.ts';
import { COMMIT } from '../postgres-log/consumer.ts';
import { connectionString, Database } from '../postgres-log/database.ts';
import { FETCH } from '../postgres-log/fetch.ts';
import { EXPIRE, removeExpired } from '../postgres-log/retention.ts';
import { openPostgresLog, type PostgresLogOptions } from '../postgres-log.ts';
import { append, eventually, newTopic, receive, record, text, unique } from './log-conformance/steps.ts';

const logger = pino({ level: 'silent' });
let database: TestDatabase;
let sql: Client;

beforeAll(async () => {
  database = await createDatabase('log');
  sql = new Client({ connectionString: database.url });
  await sql.connect();
});
afterAll(async () => {
  await sql.end();
  await database[Symbol.asyncDispose]();
});

async function open(options: Partial<PostgresLogOptions> = {}) {
  const log = await openPostgresLog({ url: database.url, logger, ...options });
  onTestFinished(() => log[Symbol.asyncDispose]());
  return log;
}

test('processes that start together make the tables once, and one log', async () => {
  await using empty = await createDatabase('log');
  const logs = await Promise.all(
    Array.from({ length: 6 }, () => openPostgresLog({ url: empty.url, logger, partitions: 2 })),
  );
  expect(new Set(logs.map(({ id }) => id)).size).toBe(1);
  expect(logs[0]?.id).toMatch(/^[0-9a-f-]{36}$/);
  await Promise.all(logs.map((log) => log.createTopics([{ name: 'topic', retentionMs: null }])));
  expect(await logs[3]?.bounds('topic')).toHaveLength(2);
  await Promise.all(logs.map((log) => log[Symbol.asyncDispose]()));
});

test('opening rejects when the server is not there', async () => {
  const url = new URL(database.url);
  url.port = '1';
  await expect(openPostgresLog({ url: url.href, logger })).rejects.toMatchObject({ code: Code.Unavailable });
});

test("names that Kafka would not take, and partition counts that can't be, are refused", async () => {
  const log = await open();
  for (const name of ['', '..', 'with space', 'ü', 'x'.repeat(250)])
    await expect(log.createTopics([{ name, retentionMs: null }])).rejects.toMatchObject({
      code: Code.InvalidArgument,
    });
  for (const partitions of [0, -1, 1.5])
    await expect(
      log.createTopics([{ name: unique('topic'), partitions, retentionMs: null }]),
    ).rejects.toThrow();
});

test('nothing is traded for durability', async () => {
  await open();
  for (const setting of ['fsync', 'full_page_writes', 'synchronous_commit'])
    expect((await sql.query(`SHOW ${setting}`)).rows).toEqual([{ [setting]: 'on' }]);
  const { rows } = await sql.query(
    `SELECT relname, relpersistence FROM pg_class WHERE relnamespace = 'event_log'::regnamespace AND relkind IN ('r', 'i')`,
  );
  expect(rows.length).toBeGreaterThan(8);
  expect(rows.filter(({ relpersistence }) => relpersistence !== 'p')).toEqual([]);
  // Nor on the log's own connections, nor inside its functions.
  await using own = new Database({ url: database.url, logger, connections: 1, timeoutMs: 5_000 });
  expect(await own.query({ name: 'show', text: 'SHOW synchronous_commit' }, [])).toEqual([['on']]);
  const functions = await sql.query(
    `SELECT proname FROM pg_proc WHERE pronamespace = 'event_log'::regnamespace AND (proconfig IS NOT NULL OR prosrc ~ 'set_config|SET LOCAL')`,
  );
  expect(functions.rows).toEqual([]);
});

describe('plans', () => {
  const ROWS = 300_000;
  let topicId = 0;
  let own: Client;

  beforeAll(async () => {
    await using log = await openPostgresLog({ url: database.url, logger });
    const name = await newTopic(log, 6);
    topicId = (await sql.query('SELECT id FROM event_log.topic WHERE name = $1', [name])).rows[0].id;
    own = new Client({ connectionString: connectionString(database.url) });
    await own.connect();
    // Planned while the table is empty, as in a process that was there from the first day.
    for (const { name: statement, text: body } of [FETCH, APPEND, COMMIT, EXPIRE])
      await own.query(`PREPARE "${statement}" AS ${body}`);
    await own.query(fetch(0));
    await sql.query(
      `INSERT INTO event_log.record SELECT $1, n % 6, n / 6, 'key', decode(repeat('ab', 100), 'hex'), '{}', now()
       FROM generate_series(0, ${ROWS - 1}) n`,
      [topicId],
    );
    await sql.query('UPDATE event_log.partition SET next_offset = $2 WHERE topic_id = $1', [
      topicId,
      ROWS / 6,
    ]);
  });
  afterAll(() => own.end());

  const fetch = (offset: number) =>
    `EXECUTE "fetch"('{${topicId},${topicId}}', '{1,4}', '{${offset},${offset}}', '{100,100}', '{1000000,1000000}')`;

  /** Pages that the statement looked at, and how it got to each table. */
  async function explain(statement: string) {
    const { rows } = await own.query(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${statement}`);
    const plan = JSON.stringify(rows[0]['QUERY PLAN'][0].Plan);
    return {
      scans: [
        ...plan.matchAll(/"Node Type":"(Seq Scan|Bitmap Heap Scan|Sort)"[^{}]*?"Relation Name":"(\w+)"/g),
      ].map(([, how, table]) => `${how} ${table}`),
      pages:
        Number(/"Shared Hit Blocks":(\d+)/.exec(plan)?.[1]) +
        Number(/"Shared Read Blocks":(\d+)/.exec(plan)?.[1]),
    };
  }

  test.each([0, 25_000, 49_950])('a fetch from offset %i reads what it gives, by index', async (offset) => {
    const { scans, pages } = await explain(fetch(offset));
    expect(scans).toEqual([]);
    // 200 records of six interleaved partitions on some 50 pages, and the way through the index.
    expect(pages).toBeLessThan(200);
  });

  test('a fetch behind the end reads next to nothing', async () => {
    expect((await explain(fetch(50_000))).pages).toBeLessThan(12);
  });

  test('an append looks up the rows of its partitions', async () => {
    await own.query('BEGIN');
    const { scans, pages } = await explain(
      `EXECUTE append('{${topicId},${topicId}}', '{0,3}', '{1,1}', '{1,2}', '{0,0}', '{a,b}', '\\x7b7d7b7d', '{1,3}', '{-1,-1}', '{2,2}')`,
    );
    await own.query('ROLLBACK');
    expect(scans).toEqual([]);
    expect(pages).toBeLessThan(100);
  });

  test('removing a step of old records leaves the others alone', async () => {
    await own.query('BEGIN');
    await own.query(`UPDATE event_log.topic SET retention_ms = 3600000 WHERE id = ${topicId}`);
    await own.query(
      `UPDATE event_log.record SET appended_at = now() - interval '2 hours'
       WHERE topic_id = ${topicId} AND partition = 2 AND "offset" < 300`,
    );
    const { scans, pages } = await explain(`EXECUTE expire(${topicId}, 2, 1000)`);
    await own.query('ROLLBACK');
    expect(scans).toEqual([]);
    expect(pages).toBeLessThan(4_000);
  });

  test('the rows that every append and commit changes stay on their pages', async () => {
    const log = await open();
    const topic = await newTopic(log, 1);
    await using producer = await log.producer();
    await using consumer = await log.consumer({ group: unique('group'), topics: [topic] });
    for (let i = 0; i < 300; i++) {
      const [position] = await producer.append([record(topic, 'k', 'v')]);
      if (position) await consumer.commit([{ ...position, offset: position.offset + 1n }]);
    }
    await eventually(10_000, async () => {
      const { rows } = await sql.query(
        `SELECT relname, n_tup_upd::int AS updates, n_tup_hot_upd::int AS hot FROM pg_stat_user_tables WHERE relname IN ('partition', 'lease')`,
      );
      for (const { updates, hot } of rows) {
        expect(updates).toBeGreaterThanOrEqual(300);
        expect(hot / updates).toBeGreaterThan(0.9);
      }
    });
  });
});

describe('retention', () => {
  async function age(topic: string, upTo: number): Promise<void> {
    await sql.query(
      `UPDATE event_log.record SET appended_at = appended_at - interval '1 day' WHERE "offset" < $2
       AND topic_id = (SELECT id FROM event_log.topic WHERE name = $1)`,
      [topic, upTo],
    );
  }
  const hundred = (topic: string) => Array.from({ length: 100 }, (_, i) => record(topic, 'k', `${i}`));

  test('removes what is older than the topic keeps it, in steps, and nothing else', async () => {
    const log = await open();
    const [kept, expiring] = [unique('topic'), unique('topic')];
    await log.createTopics([
      { name: kept, partitions: 1, retentionMs: null },
      { name: expiring, partitions: 1, retentionMs: 3_600_000 },
    ]);
    await append(log, [...hundred(kept), ...hundred(expiring)]);
    await age(kept, 100);
    await age(expiring, 73);
    await using own = new Database({ url: database.url, logger, connections: 2, timeoutMs: 5_000 });
    expect(await removeExpired(own, 10)).toBe(73);
    expect(await removeExpired(own, 10)).toBe(0);
    expect(await log.bounds(kept)).toEqual([{ topic: kept, partition: 0, start: 0n, end: 100n }]);
    expect(await log.bounds(expiring)).toEqual([{ topic: expiring, partition: 0, start: 73n, end: 100n }]);
    expect((await log.read({ topic: expiring, partition: 0, offset: 0n }, 1)).map(text)).toEqual(['73']);
    // A group that never committed begins with what is there, and is not behind with what is gone.
    expect((await log.lag('late', [expiring]))[0]).toMatchObject({ committed: 73n, lag: 27n });
    await using consumer = await log.consumer({ group: 'late', topics: [expiring] });
    expect((await receive(consumer, 27)).map(text)[0]).toBe('73');
    expect(await append(log, [record(expiring, 'k', 'next')])).toMatchObject([{ offset: 100n }]);
  });

  test('removes everything, also what a group has not read, and the group goes on behind it', async () => {
    const log = await open();
    const topic = unique('topic');
    await log.createTopics([{ name: topic, partitions: 1, retentionMs: 1_000 }]);
    await append(log, hundred(topic));
    {
      await using consumer = await log.consumer({ group: 'slow', topics: [topic], maxRecords: 10 });
      await receive(consumer, 10);
      await consumer.commit([{ topic, partition: 0, offset: 10n }]);
    }
    await age(topic, 100);
    await using own = new Database({ url: database.url, logger, connections: 2, timeoutMs: 5_000 });
    expect(await removeExpired(own, 100)).toBe(100);
    expect(await log.bounds(topic)).toEqual([{ topic, partition: 0, start: 100n, end: 100n }]);
    expect((await log.lag('slow', [topic]))[0]).toMatchObject({ committed: 100n, end: 100n, lag: 0n });
    await using consumer = await log.consumer({ group: 'slow', topics: [topic] });
    await append(log, [record(topic, 'k', 'new')]);
    expect((await receive(consumer, 1)).map(text)).toEqual(['new']);
  });

  test('goes on by itself while the log is open, however many have it open', async () => {
    const log = await open({ retentionEveryMs: 20 });
    await open({ retentionEveryMs: 20 });
    const topic = unique('topic');
    await log.createTopics([{ name: topic, partitions: 1, retentionMs: 3_600_000 }]);
    await append(log, hundred(topic));
    await age(topic, 40);
    await eventually(10_000, async () => {
      expect(await log.bounds(topic)).toEqual([{ topic, partition: 0, start: 40n, end: 100n }]);
    });
  });
});
