import { ProductService } from '@tradewind/contracts/product/v1/product';
import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { topicOf } from '@tradewind/messaging/contract';
import { createClient } from '@tradewind/rpc/client';
import { append } from '@tradewind/testing/events';
import { freePort } from '@tradewind/testing/port';
import { startService, type TestService } from '@tradewind/testing/service';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { service as productService } from '../../services/product/service.ts';
import { service as ratingsService } from '../../services/ratings/service.ts';
import { audit } from '../load/audit.ts';
import { replay } from '../load/replay.ts';
import { formatAudit, formatLoad } from '../load/report.ts';
import { seedTalks } from '../seed.ts';
import { Market } from './load-market.ts';

vi.setConfig({ testTimeout: 120_000 });
const quick = { stallMs: 300, graceMs: 1_000, restMs: 30_000 };
const TALK = 'flight-of-the-gopher';

let scope: AsyncDisposableStack;
beforeEach(() => {
  scope = new AsyncDisposableStack();
});
afterEach(() => scope.disposeAsync());

/** Ratings and products as they are; orders and stock of a market in memory. */
async function marketWithRatings() {
  const market = scope.use(await Market.open());
  const ratings = scope.use(await startService(ratingsService));
  const product = scope.use(
    await startService(productService, {
      logUrl: ratings.logUrl,
      env: { STOCK_URL: market.addresses.stockUrl },
    }),
  );
  const client = scope.use(createClient(ProductService, { baseUrl: product.url }));
  for (const name of ['Desk', 'Lamp', 'Chair'])
    await client.call.createProduct({ name, price: 100n, currency: 'USD', category: 'Office' });
  await seedTalks({ ratingsUrl: ratings.url });
  const addresses = { ...market.addresses, productUrl: product.url, ratingsUrl: ratings.url };
  return { addresses, ratings, product };
}

const run = (addresses: Parameters<typeof replay>[0], more: Parameters<typeof replay>[0] = {}) =>
  replay({ ...addresses, limit: 60, ratings: 1, stallMs: 300, ...more });
const sql = ({ database }: TestService, text: string) => database.pool.query(text);

test('a replay with ratings: all accepted, some changed, and every count is right', async () => {
  const { addresses, ratings, product } = await marketWithRatings();
  const report = await run(addresses);
  expect(report).toMatchObject({
    ok: true,
    accepted: 60,
    ratings: { asked: 60, given: 60, refused: [], unanswered: [] },
    audit: { ok: true, ratings: { ok: true, atRest: true, ratings: 60, stores: ['PostgreSQL'] } },
  });
  expect(report.ratings?.changed).toBeGreaterThan(3);
  expect(formatLoad(report)).toMatch(/rated +60 of 60 ratings accepted, \d+ of them changed/);
  expect(formatLoad(report)).toMatch(/ratings +60 ratings, 8 subjects, counted by PostgreSQL: all is as/);
  // Something of every kind was rated, and the product service has heard of it.
  const kinds = await sql(ratings, `SELECT DISTINCT split_part(subject, '/', 1) AS kind FROM rating`);
  expect(new Set(kinds.rows.map(({ kind }) => kind))).toContain('product');
  expect(kinds.rowCount).toBe(4);
  const counted = await sql(product, 'SELECT sum(rating_count)::int AS n FROM product');
  const given = await sql(ratings, `SELECT count(*)::int AS n FROM rating WHERE subject LIKE 'product/%'`);
  expect(counted.rows).toEqual(given.rows);
});

test('an interrupted replay goes on and gives no rating twice', async () => {
  const { addresses, ratings } = await marketWithRatings();
  const stop = new AbortController();
  let tag = '';
  const onProgress = (_: string, done: number) => done === 20 && stop.abort(new Error('enough'));
  const first = run(addresses, {
    rate: 300,
    signal: stop.signal,
    onProgress,
    onRun: (name) => {
      tag = name;
    },
  });
  await expect(first).rejects.toThrow('enough');
  expect(await run(addresses, { run: tag })).toMatchObject({ ok: true, ratings: { given: 60 } });
  expect((await sql(ratings, 'SELECT FROM rating')).rowCount).toBe(60);
});

test('the audit finds what is wrong, each with its own words', async () => {
  const { addresses, ratings, product } = await marketWithRatings();
  const { ok, expected, expectedRatings } = await run(addresses, { audit: false });
  expect(ok).toBe(true);
  const options = {
    ...addresses,
    ...quick,
    expected: [expected],
    ...(expectedRatings && { expectedRatings }),
  };
  expect(await audit(options)).toMatchObject({ ok: true, ratings: { ok: true } });
  const ofProvider = `FROM rating WHERE subject LIKE 'service-provider/%' ORDER BY id`;
  const [gone, changed] = (await sql(ratings, `SELECT id ${ofProvider} LIMIT 2`)).rows.map(({ id }) => id);
  for (const text of [
    // One is not counted, one is counted twice, one is gone, one is not as it was given.
    `UPDATE tally SET count_5 = count_5 - 1 WHERE subject = '${TALK}'`,
    `UPDATE tally SET count_3 = count_3 + 1 WHERE subject = 'testcontainers-integration-testing'`,
    `DELETE FROM rating WHERE id = '${gone}'`,
    `UPDATE rating SET comment = 'Oh' WHERE id = '${changed}'`,
  ])
    await sql(ratings, text);
  await sql(product, 'UPDATE product SET rating = rating - 0.1 WHERE id = 1');
  await sql(product, 'UPDATE product SET rating_count = rating_count + 1 WHERE id = 2');
  const report = await audit(options);
  expect(report).toMatchObject({ ok: false, off: [], ratings: { ok: false } });
  const lost = report.ratings && 'lost' in report.ratings ? report.ratings.lost : [];
  expect(lost.toSorted()).toEqual([gone, changed].sort());
  const text = formatAudit(report);
  for (const finding of [
    new RegExp(`counts that are not the ratings.*${TALK}: PostgreSQL has`, 's'),
    /testcontainers-integration-testing: 1 more counted than given/,
    new RegExp(`lost: named in an answer, and not there as given \\(2\\):.*${gone}`, 's'),
    /product\/1: the product service has \d+ ratings, average/,
    /product\/2: the product service has \d+ ratings, average/,
  ])
    expect(text).toMatch(finding);
});

test('what others put on the topic counts, and is told apart until it is named', async () => {
  const { addresses, ratings } = await marketWithRatings();
  const { name: topic } = topicOf(RatedSchema);
  const value = Buffer.from(`{"talkId":"${TALK}","value":5}`);
  await append(
    ratings.log,
    { topic, key: TALK, value, headers: {} },
    { topic, key: null, value, headers: {} },
  );
  const counted = async () => (await sql(ratings, 'SELECT count_5::int AS n FROM tally')).rows;
  await expect.poll(counted).toEqual([{ n: 2 }]);
  const report = await audit({ ...addresses, ...quick });
  expect(report).toMatchObject({ ok: false, ratings: { off: [], more: [{ subject: TALK, more: 2 }] } });
  expect(formatAudit(report)).toContain(`${TALK}: 2 more counted than given`);
  const foreign = new Map([[TALK, [0, 0, 0, 0, 2] as const]]);
  expect(await audit({ ...addresses, ...quick, foreign })).toMatchObject({ ok: true, ratings: { ok: true } });
});

test('where no ratings service runs, that is said; where one must run, it is an error', async () => {
  const market = scope.use(await Market.open());
  const nowhere = { ...market.addresses, ratingsUrl: `http://127.0.0.1:${await freePort()}` };
  const report = await audit({ ...nowhere, ...quick, ratingsMayBeAway: true });
  expect(report).toMatchObject({ ok: true, ratings: { ok: true, skipped: expect.any(String) } });
  expect(formatAudit(report)).toMatch(/ratings +left out: no ratings service answers at http/);
  await expect(audit({ ...nowhere, ...quick, patienceMs: 300 })).rejects.toThrow(/ECONNREFUSED/);
});

test('ratings that are refused are told', async () => {
  const { addresses, product } = await marketWithRatings();
  const client = scope.use(createClient(ProductService, { baseUrl: product.url }));
  // It leaves the catalogue between the plan and the first rating.
  const onProgress = async () => void (await client.call.deleteProduct({ id: 1 }));
  const forget = () => void onProgress().catch(() => undefined);
  const report = await run(addresses, { rate: 100, onProgress: forget });
  expect(report.ok).toBe(false);
  expect(report.ratings?.refused[0]).toMatch(/product 1 was deleted/);
  expect(report.audit?.ratings).toMatchObject({ ok: true });
  expect(formatLoad(report)).toContain('ratings refused');
});
