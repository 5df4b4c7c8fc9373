import { ProductDeletedSchema } from '@tradewind/contracts/product/v1/events';
import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { topicOf } from '@tradewind/messaging/contract';
import { redriveOf } from '@tradewind/messaging/dead-letter';
import { createLogger } from '@tradewind/telemetry/logger';
import { append, deadLettersOf, recordOf } from '@tradewind/testing/events';
import { plansOf, statementsOf } from '@tradewind/testing/plans';
import { expect, test } from 'vitest';
import { rebuild } from '../rebuild.ts';
import { startRatings, TALK, type TestRatings } from './ratings-service.ts';

const logger = createLogger({ service: 'test', level: 'silent' });
const { name: topic } = topicOf(RatedSchema);

/** Every call, every event and a rebuild once. */
async function exercise(ratings: TestRatings): Promise<void> {
  const [customerId, serviceProviderId] = [await ratings.customer(), await ratings.provider()];
  await ratings.product(1);
  const seen = async (path: string, status = 200) => expect((await ratings.get(path)).status).toBe(status);
  await ratings.post('/ratings', { talkId: TALK, value: 5 }, { 'idempotency-key': 'k' });
  const given = { customerId, serviceProviderId, rating: 3 };
  const { json } = await ratings.post('/v1/ratings', given, { 'idempotency-key': 'l' });
  await ratings.post('/v1/ratings', given, { 'idempotency-key': 'm' });
  await ratings.post('/v1/products/1/ratings', given);
  await ratings.put(`/v1/ratings/${json.id}`, { rating: 4 });
  await seen(`/v1/customers/${customerId}`);
  await seen(`/v1/service-providers/${serviceProviderId}`);
  await seen(`/v1/ratings/${json.id}`);
  await seen(`/v1/service-providers/${serviceProviderId}/average-rating`);
  await seen(`/ratings?talkId=${TALK}`);
  await seen('/talks?page_size=1&page_token=YQ');
  for (const query of [
    '',
    'page=2&per_page=10',
    'talkId=flight-of-the-gopher',
    'productId=1',
    `customerId=${customerId}`,
    `serviceProviderId=${serviceProviderId}&customerId=${customerId}`,
  ])
    await seen(`/v1/ratings?${query}`);
  const { nextPageToken } = await ratings.call.listRatings({ pageSize: 1 });
  await ratings.call.listRatings({ pageSize: 1, pageToken: nextPageToken });
  await append(
    ratings.log,
    { topic, key: TALK, value: Buffer.from('five stars!'), headers: {} },
    recordOf(ProductDeletedSchema, { productId: 1, revision: 2n }),
  );
  await expect.poll(async () => (await deadLettersOf(ratings.log, RatedSchema)).length).toBe(1);
  const [letter] = await deadLettersOf(ratings.log, RatedSchema);
  if (!letter) throw new Error('no letter');
  const value = Buffer.from(`{"talkId":"${TALK}","value":5}`);
  await append(ratings.log, redriveOf(letter, { key: TALK, value }));
  await expect.poll(() => ratings.counts(TALK)).toBe('2 0 0 0 0');
  await expect.poll(ratings.lag).toBe(0);
  const { signal } = new AbortController();
  await rebuild({ ...ratings, logger, signal, print: () => undefined });
}

const TABLES = 'rating|subject|tally\\w*|customer|service_provider|inbox|idempotency_key';
const tables = new RegExp(`\\b(${TABLES})\\b`);
/** A scan of one of them, and the line behind it. Where sequential ones are off, an index may be read whole instead. */
const scans = new RegExp(`(?:Seq|Index|Index Only) Scan\\b.* on "?(?:${TABLES})\\b.*(?:\\n.*)?`, 'g');
/** All of both models is what the swap of a rebuild compares, and all that it wrote is what it counts; nobody who rates waits for that. */
const ofAll = /FROM tally_rebuild\b/;
/** How many ratings there are in all, for pages by number, is counted on an index, and as dear as that. */
const countsAll = /select count\(\*\) as "count" from "rating" as "r0"$/;

/** The scans of both plans that read a table from its first row to its last. A page ends by itself, unless it leaves rows out. */
function wholeTables(plan: string): string[] {
  const [statement = '', ...both] = plan.split(/^→ |^(?=\S)/m);
  if (countsAll.test(statement.trim())) return [];
  return both.flatMap((one) => {
    const found = one.match(scans) ?? [];
    const page = one.startsWith('Limit');
    return found.filter((scan) => !scan.includes('Index Cond') && !(page && !scan.includes('Filter')));
  });
}

async function plans(ratings: TestRatings): Promise<string[]> {
  const sent = await statementsOf(() => exercise(ratings));
  const ours = sent.filter(
    ({ text }) => tables.test(text) && /^\s*(select|insert|update|with)/i.test(text) && !ofAll.test(text),
  );
  expect(ours.length).toBeGreaterThanOrEqual(30);
  return await Promise.all(
    ours.map(async (each) => `${each.text.trim()}\n→ ${await plansOf(ratings.database, each)}`),
  );
}

test('on large tables no statement reads all of one, not even one that was planned without its values', async () => {
  await using ratings = await startRatings();
  const many = 'generate_series(1, 50000) AS n';
  await ratings.query(`
    INSERT INTO rating SELECT (lpad(to_hex(1700000000000 + n), 12, '0') || '7000' || '8' || lpad(to_hex(n), 15, '0'))::uuid,
      'talk-' || n % 1000, CASE WHEN n % 2 = 0 THEN gen_random_uuid() END, 1 + n % 5, '', now(), now(), 1 FROM ${many}`);
  await ratings.query(`INSERT INTO subject (id, kind, name) SELECT 'talk-' || n, 'talk', '' FROM ${many}`);
  await ratings.query(`INSERT INTO tally SELECT 'talk-' || n, 1, 2, 3, 4, 5, now(), 15 FROM ${many}`);
  for (const table of ['customer', 'service_provider'])
    await ratings.query(
      `INSERT INTO ${table} SELECT gen_random_uuid(), 'C', n || '@example.com', n || '@example.com', now(), now() FROM ${many}`,
    );
  await ratings.query(
    `INSERT INTO inbox (consumer_group, source, id, state) SELECT 'ratings', 'ratings', n, 'done' FROM ${many}`,
  );
  await ratings.query(`INSERT INTO idempotency_key SELECT 'RateTalk', 'key ' || n, '', '' FROM ${many}`);
  await ratings.query(
    `INSERT INTO tally_redriven SELECT 'ratings', n, 'talk-' || n, 1, 0, 0, 0, 0, now() FROM generate_series(1, 10000) AS n`,
  );
  await ratings.query('ANALYZE');
  for (const plan of await plans(ratings)) expect.soft(wholeTables(plan), plan).toEqual([]);
}, 120_000);

test('a statement that was planned on empty tables does not read large ones whole', async () => {
  await using ratings = await startRatings();
  for (const plan of await plans(ratings)) expect.soft(wholeTables(plan), plan).toEqual([]);
});
