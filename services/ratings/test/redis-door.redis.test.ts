import { Code } from '@connectrpc/connect';
import { Store } from '@tradewind/contracts/ratings/v1/summary';
import { createLogger } from '@tradewind/telemetry/logger';
import { scrape } from '@tradewind/testing/metrics';
import { startRedis } from '@tradewind/testing/redis';
import { Redis } from 'iovalkey';
import { expect, test } from 'vitest';
import { rebuild } from '../rebuild.ts';
import { startRatings, TALK } from './ratings-service.ts';

const talk = (value: string) => ({ about: { case: 'talkId' as const, value } });

test('reads of counts come from Redis, in the shape that its other readers know, and from PostgreSQL while it is away', async () => {
  await using redis = await startRedis();
  await using ratings = await startRatings({ env: { REDIS_URL: redis.url } });
  const client = new Redis(redis.url).on('error', () => undefined);
  try {
    for (const value of [5, 5, 4]) await ratings.post('/ratings', { talkId: TALK, value });
    await expect.poll(() => client.hgetall(`ratings/${TALK}`)).toEqual({ 5: '2', 4: '1' });
    const expected = '{"ratings":{"5":"2","4":"1"}}';
    const show = async () => (await ratings.get(`/ratings?talkId=${TALK}`)).text;
    const fromRedis = async () =>
      (await scrape(ratings.url)).value('tradewind_ratings_reads_total', { source: 'redis' }) ?? 0;
    await expect
      .poll(async () => {
        expect(await show()).toBe(expected);
        return await fromRedis();
      })
      .toBeGreaterThan(0);
    expect((await ratings.get('/')).json.metadata.ratings).toBe(redis.url);
    const stores = async (store: Store) =>
      (await ratings.call.batchGetSummaries({ subjects: [talk(TALK)], store })).summaries;
    expect(await stores(Store.REDIS)).toEqual(await stores(Store.POSTGRESQL));

    await client.flushall();
    for (let n = 0; n < 20; n++) expect(await show()).toBe(expected);
    await redis.kill();
    expect(await show()).toBe(expected);
    await expect(stores(Store.REDIS)).rejects.toMatchObject({ code: Code.Unavailable });
    expect((await ratings.post('/ratings', { talkId: TALK, value: 1 })).status).toBe(201);
    const more = '{"ratings":{"5":"2","4":"1","1":"1"}}';
    await expect.poll(show).toBe(more);
    await redis.start();
    await expect.poll(() => client.hgetall(`ratings/${TALK}`)).toEqual({ 5: '2', 4: '1', 1: '1' });
    expect(await show()).toBe(more);
  } finally {
    client.disconnect();
  }
});

test('what a rebuild changes gets to Redis', async () => {
  await using redis = await startRedis();
  await using ratings = await startRatings({ env: { REDIS_URL: redis.url } });
  const client = new Redis(redis.url).on('error', () => undefined);
  try {
    await ratings.post('/ratings', { talkId: TALK, value: 5 });
    await expect.poll(() => client.hgetall(`ratings/${TALK}`)).toEqual({ 5: '1' });
    await ratings.query('UPDATE tally SET count_1 = 9, revision = revision + 1 WHERE subject = $1', [TALK]);
    await ratings.post('/ratings', { talkId: TALK, value: 5 });
    await expect.poll(() => client.hgetall(`ratings/${TALK}`)).toEqual({ 5: '2', 1: '9' });
    const { database, log } = ratings;
    const logger = createLogger({ service: 'test', level: 'silent' });
    const { signal } = new AbortController();
    expect(await rebuild({ database, log, logger, signal, print: () => undefined })).toMatchObject({
      different: 1,
    });
    await expect.poll(() => client.hgetall(`ratings/${TALK}`)).toEqual({ 5: '2' });
  } finally {
    client.disconnect();
  }
});
