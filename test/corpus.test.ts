import type { DescMessage, JsonObject } from '@bufbuild/protobuf';
import { OrderCanceledSchema, OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import {
  ProductCreatedSchema,
  ProductDeletedSchema,
  ProductUpdatedSchema,
} from '@tradewind/contracts/product/v1/events';
import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { StockExceededAmountSchema, StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import { deadLetterTopic, topicOf } from '@tradewind/messaging/contract';
import { decodeEvent } from '@tradewind/messaging/event';
import type { LogRecord } from '@tradewind/messaging/log';
import { append, recordsOf } from '@tradewind/testing/events';
import { startService, type TestService } from '@tradewind/testing/service';
import { describe, expect, test } from 'vitest';
import { service as order } from '../services/order/service.ts';
import { service as product } from '../services/product/service.ts';
import { service as ratings } from '../services/ratings/service.ts';
import { service as stock } from '../services/stock/service.ts';
import { bytesOf, corpusOf, meaning, type Recorded, received, versions } from './corpus/corpus.ts';

/** Every event of this release, by topic. */
const events = new Map<string, DescMessage>(
  [order, product, ratings, stock]
    .flatMap(({ tells }) => tells)
    .map((schema) => [topicOf(schema).name, schema]),
);

test('the newest version has a corpus of every topic, in both encodings', () => {
  const newest = versions().at(-1) ?? '';
  const corpus = corpusOf(newest);
  const record = 'record them: node test/corpus/record.ts <next version>';
  expect([...corpus.keys()].toSorted(), record).toEqual([...events.keys()].toSorted());
  for (const [topic, recorded] of corpus) {
    const encodings = new Set(recorded.map(({ text }) => (text === undefined ? 'binary' : 'JSON')));
    expect(encodings, topic).toEqual(new Set(['JSON', 'binary']));
    expect(recorded.length, topic).toBeGreaterThanOrEqual(5);
  }
});

const everything = versions().flatMap((version) =>
  [...corpusOf(version)].flatMap(([topic, recorded]) =>
    recorded.map((one) => ({ version, topic, about: one.about, recorded: one })),
  ),
);

describe('what was ever told is still understood, and means the same', () => {
  test.each(everything)('$version $topic $about', ({ topic, recorded }) => {
    const schema = events.get(topic);
    // A topic that is given up stays in the contracts for as long as its records may be on a log.
    if (!schema) throw new Error(`${topic} is no topic of this release any more`);
    expect(meaning(schema, decodeEvent(schema, received(topic, recorded)))).toMatchObject(recorded.means);
  });
});

/** Puts what was recorded of topics on a service's log; resolves once all of it took effect, and nothing became a dead letter. */
async function handled(
  { name }: { readonly name: string },
  { log, database }: TestService,
  corpus: ReadonlyMap<string, readonly Recorded[]>,
  ...heard: readonly DescMessage[]
): Promise<JsonObject[]> {
  const topics = heard.map((schema) => topicOf(schema).name);
  const all = topics.flatMap((topic) => (corpus.get(topic) ?? []).map((one) => ({ topic, ...one })));
  expect(all.length).toBeGreaterThanOrEqual(topics.length * 5);
  const done = async () =>
    (await database.pool.query(`SELECT count(*)::int AS done FROM inbox WHERE state = 'done'`)).rows[0].done;
  const before = await done();
  await append(
    log,
    ...all.map((one): LogRecord => {
      const { topic, key, headers } = one;
      return { topic, key, headers, value: bytesOf(one) };
    }),
  );
  const lag = async () => (await log.lag(name, topics)).reduce((sum, { lag }) => sum + Number(lag), 0);
  await expect.poll(lag).toBe(0);
  const letters = await Promise.all(topics.map((topic) => recordsOf(log, deadLetterTopic(topic))));
  expect(letters.flat().map(({ key, headers }) => [key, headers.dlq_error])).toEqual([]);
  expect(await done()).toBe(before + all.length);
  return all.map(({ means }) => means);
}

describe.each(versions())('what was told by %s still takes effect', (version) => {
  const corpus = corpusOf(version);

  test('in stock', async () => {
    await using running = await startService(stock);
    const { pool } = running.database;
    await pool.query(
      'INSERT INTO stock (product_id, quantity, put_in, revision) SELECT n, 1000, 1000, 1 FROM generate_series(1, 100) AS n',
    );
    const created = await handled(stock, running, corpus, OrderCreatedSchema);
    const reserved = await pool.query<{ order_id: string; pieces: number }>(
      `SELECT order_id, sum((line ->> 'quantity')::int)::int AS pieces
       FROM reservation CROSS JOIN LATERAL jsonb_array_elements(lines) AS line WHERE outcome = 'reserved' GROUP BY 1`,
    );
    const pieces = (lines: unknown) =>
      (lines as { quantity: number }[]).reduce((sum, { quantity }) => sum + quantity, 0);
    expect(new Map(reserved.rows.map((row) => [row.order_id, row.pieces]))).toEqual(
      new Map(created.map(({ order_id, lines }) => [order_id, pieces(lines)])),
    );
    const canceled = await handled(stock, running, corpus, OrderCanceledSchema);
    const released = await pool.query<{ order_id: string }>(
      `SELECT order_id FROM reservation WHERE outcome IN ('released', 'canceled-before-created')`,
    );
    expect(new Set(released.rows.map(({ order_id }) => order_id))).toEqual(
      new Set(canceled.map(({ order_id }) => order_id)),
    );
    for (const [schema, deleted] of [
      [ProductCreatedSchema, false],
      [ProductUpdatedSchema, false],
      [ProductDeletedSchema, true],
    ] as const) {
      await pool.query('UPDATE stock SET product_revision = NULL, deleted = NOT $1', [deleted]);
      const told = await handled(stock, running, corpus, schema);
      const known = await pool.query<{ product_id: number; product_revision: string }>(
        'SELECT product_id, product_revision FROM stock WHERE deleted = $1 AND product_revision IS NOT NULL',
        [deleted],
      );
      expect(new Map(known.rows.map((row) => [row.product_id, row.product_revision]))).toEqual(
        new Map(told.map(({ product_id, revision }) => [product_id, revision])),
      );
    }
  });

  test('in order', async () => {
    await using running = await startService(order);
    const { pool } = running.database;
    const all = [StockReservedSchema, StockExceededAmountSchema].flatMap(
      (schema) => corpus.get(topicOf(schema).name) ?? [],
    );
    await pool.query(
      `INSERT INTO orders (id, customer_id, status, lines, total_price, currency, created_at, updated_at, revision)
       SELECT id, '', 'PENDING', '[]', 0, 'USD', now(), now(), 1 FROM unnest($1::uuid[]) AS id`,
      [[...new Set(all.map(({ means }) => means.order_id))]],
    );
    const reserved = await handled(order, running, corpus, StockReservedSchema);
    const exceeded = await handled(order, running, corpus, StockExceededAmountSchema);
    const standing = async (status: string) =>
      (await pool.query<{ id: string }>('SELECT id FROM orders WHERE status = $1', [status])).rows.map(
        ({ id }) => id,
      );
    expect(new Set(await standing('CONFIRMED'))).toEqual(new Set(reserved.map(({ order_id }) => order_id)));
    expect(new Set(await standing('CANCELED'))).toEqual(new Set(exceeded.map(({ order_id }) => order_id)));
  });

  test('in product', async () => {
    await using running = await startService(product);
    const { pool } = running.database;
    await pool.query(`
      INSERT INTO product (id, name, description, price, currency, category, brand, thumbnail, words, sort_key, created_at, updated_at, revision)
      SELECT n, 'Desk', '', 1, 'USD', '', '', '', '{}', 'desk', now(), now(), 1 FROM generate_series(1, 100) AS n`);
    const rated = (await handled(product, running, corpus, RatedSchema)).filter(
      ({ product_id }) => product_id !== undefined,
    );
    const { rows } = await pool.query(
      'SELECT id, rating_count::int AS count, rating_sum::int AS sum FROM product WHERE rating_count > 0',
    );
    const expected = new Map<unknown, { count: number; sum: number }>();
    for (const { product_id, value, previous_value } of rated) {
      const { count, sum } = expected.get(product_id) ?? { count: 0, sum: 0 };
      const change = Number(value) - Number(previous_value ?? 0);
      expected.set(product_id, { count: count + (previous_value ? 0 : 1), sum: sum + change });
    }
    expect(expected.size).toBeGreaterThan(0);
    expect(new Map(rows.map(({ id, count, sum }) => [id, { count, sum }]))).toEqual(expected);
  });

  test('in ratings', async () => {
    await using running = await startService(ratings);
    const { pool } = running.database;
    const rated = await handled(ratings, running, corpus, RatedSchema);
    const tallies = new Map<string, number[]>();
    for (const { talk_id, product_id, service_provider_id, value, previous_value } of rated) {
      const subject =
        talk_id ?? (product_id ? `product/${product_id}` : `service-provider/${service_provider_id}`);
      const counts = tallies.get(String(subject)) ?? [0, 0, 0, 0, 0];
      counts[Number(value) - 1] = (counts[Number(value) - 1] ?? 0) + 1;
      if (previous_value) counts[Number(previous_value) - 1] = (counts[Number(previous_value) - 1] ?? 0) - 1;
      tallies.set(String(subject), counts);
    }
    const counted = await pool.query(
      'SELECT subject, ARRAY[count_1, count_2, count_3, count_4, count_5]::int[] AS counts FROM tally',
    );
    expect(new Map(counted.rows.map(({ subject, counts }) => [subject, counts]))).toEqual(tallies);
    for (const [schema, deleted] of [
      [ProductCreatedSchema, false],
      [ProductUpdatedSchema, false],
      [ProductDeletedSchema, true],
    ] as const) {
      await pool.query('DELETE FROM subject');
      const told = await handled(ratings, running, corpus, schema);
      const known = await pool.query('SELECT id, name, product_revision FROM subject WHERE deleted = $1', [
        deleted,
      ]);
      expect(new Map(known.rows.map((row) => [row.id, [row.name, row.product_revision]]))).toEqual(
        new Map(
          told.map(({ product_id, name = '', revision }) => [`product/${product_id}`, [name, revision]]),
        ),
      );
    }
  });
});
