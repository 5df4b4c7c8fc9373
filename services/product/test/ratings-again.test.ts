import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { topicOf } from '@tradewind/messaging/contract';
import { cleanOnce, inboxChores } from '@tradewind/messaging/housekeeping';
import { configOf } from '@tradewind/service/run';
import { createLogger } from '@tradewind/telemetry/logger';
import { append, behind, deadLettersOf } from '@tradewind/testing/events';
import { freePort } from '@tradewind/testing/port';
import { startService, type TestService, type TestServiceOptions } from '@tradewind/testing/service';
import { expect, test } from 'vitest';
import { service } from '../service.ts';
import { clientsOf } from './market.ts';
import { heard, rate, rated } from './rating.ts';

const start = async (options: TestServiceOptions = {}) =>
  await startService(service, {
    ...options,
    env: { STOCK_URL: `http://127.0.0.1:${await freePort()}`, ...options.env },
  });
/** Another process of the same service. */
const besides = ({ databaseUrl, logUrl }: TestService) => ({ databaseUrl, logUrl });

async function fill({ url }: TestService, count: number): Promise<number[]> {
  const client = clientsOf(url).grpc;
  const made = Array.from({ length: count }, (_, n) => client.createProduct({ name: `Product ${n}` }));
  return (await Promise.all(made)).map(({ product }) => product?.id ?? 0).toSorted((a, b) => a - b);
}

const counts = async ({ database }: TestService) =>
  (
    await database.pool.query(
      'SELECT id, rating_count::int AS count, rating_sum::int AS sum, rating FROM product ORDER BY id',
    )
  ).rows;

test('what is rated while nobody listens counts later, and once, also when the group begins at the first record again years later', async () => {
  await using first = await start();
  const ids = await fill(first, 3);
  const [a = 0, b = 0] = ids;
  await rate(first, a, 5, 2);
  await rate(first, b, 4);
  await first.stop();

  await append(first.log, rated(a, 5), rated(b, 1, { previousValue: 4 }));
  await using second = await start(besides(first));
  await heard(second);
  const expected = [
    { count: 3, sum: 12, rating: 4 },
    { count: 1, sum: 1, rating: 1 },
    { count: 0, sum: 0, rating: null },
  ];
  expect(await counts(second)).toMatchObject(expected);
  await second.stop();

  const { database } = second;
  await database.pool.query(`UPDATE inbox SET handled_at = handled_at - interval '30 years'`);
  const { INBOX_WINDOW } = configOf(service, {
    env: { DATABASE_URL: first.databaseUrl, EVENT_LOG_URL: first.logUrl },
  });
  const logger = createLogger({ service: 'test', level: 'silent' });
  const { signal } = new AbortController();
  await cleanOnce({ database, chores: inboxChores(INBOX_WINDOW), logger, signal });
  await second.log.rewind('product', [topicOf(RatedSchema).name]);
  expect(await behind(second.log, 'product', RatedSchema)).toBe(5);
  await using third = await start(besides(first));
  await heard(third);
  expect(await counts(third)).toMatchObject(expected);
  expect(await deadLettersOf(third.log, RatedSchema)).toEqual([]);
});

test('of two members and many who change the products nobody loses anything', async () => {
  await using running = await start();
  await using twin = await start({ ...besides(running), serve: false });
  const ids = await fill(running, 8);
  const client = clientsOf(running.url).grpc;
  const values = Array.from({ length: 300 }, (_, n) => 1 + (n % 5));
  // Without a key of theirs, events of one product are on all partitions, and so both members have some in every batch.
  const records = values.flatMap((value) =>
    ids.map((id) => ({ ...rated(id, value), key: `${id}/${value}` })),
  );
  const change = (n: number) =>
    client.updateProduct({
      id: ids[n % ids.length] ?? 0,
      product: { price: BigInt(n + 1) },
      updateMask: { paths: ['price'] },
    });
  const changes = async () => {
    for (let n = 0; n < 64; n += 8) await Promise.all(Array.from({ length: 8 }, (_, i) => change(n + i)));
  };
  await Promise.all([append(running.log, ...records.toReversed()), changes()]);
  await heard(running);
  const rows = await counts(running);
  expect(rows).toEqual(ids.map((id) => ({ id, count: 300, sum: 900, rating: 3 })));
  const { products } = await client.batchGetProducts({ ids });
  expect(products.map(({ revision }) => revision)).toEqual(ids.map(() => 9n));
  expect(await deadLettersOf(running.log, RatedSchema)).toEqual([]);
  await twin.stop();
});
