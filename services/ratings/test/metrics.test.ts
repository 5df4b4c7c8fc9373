import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { append, recordOf } from '@tradewind/testing/events';
import { scrape } from '@tradewind/testing/metrics';
import { expect, test } from 'vitest';
import { startRatings, TALK, type TestRatings } from './ratings-service.ts';

const NOW = { METRICS_KEEP: '0ms' };
const accepted = async ({ url }: TestRatings) => (await scrape(url)).all('tradewind_ratings_accepted_total');
const NONE = { 'kind="talk"': 0, 'kind="product"': 0, 'kind="service-provider"': 0 };

test('ratings are counted when they are accepted, by what was rated: no repetition, and none that was refused', async () => {
  await using ratings = await startRatings({ env: NOW });
  expect(await accepted(ratings)).toEqual(NONE);
  await ratings.product();
  const [customerId, serviceProviderId] = [await ratings.customer(), await ratings.provider()];
  const key = { 'idempotency-key': 'once' };
  await ratings.post('/ratings', { talkId: TALK, value: 5 }, key);
  await ratings.post('/ratings', { talkId: TALK, value: 5 }, key);
  await ratings.post('/ratings', { talkId: 'nobody-knows', value: 5 });
  await ratings.post('/ratings', { talkId: TALK, value: 6 });
  const rate = () => ratings.post('/v1/products/1/ratings', { customerId, rating: 3 });
  const { json } = await rate();
  expect((await rate()).status).toBe(409);
  await ratings.post('/v1/ratings', { customerId, serviceProviderId, rating: 3 });
  await ratings.post(`/talks/${TALK}/ratings`, { score: 1 });
  expect(await accepted(ratings)).toEqual({
    'kind="talk"': 2,
    'kind="product"': 1,
    'kind="service-provider"': 1,
  });
  // Twice: the second time nothing is changed.
  for (const _ of [1, 2]) await ratings.put(`/v1/ratings/${json.id}`, { rating: 4 });
  await expect.poll(ratings.lag).toBe(0);
  const told = await scrape(ratings.url);
  expect(told.value('tradewind_ratings_changed_total')).toBe(1);
  expect(told.value('tradewind_ratings_counted_seconds_count')).toBe(5);
});

test('how long it took until a rating was counted, whoever told it; an event that comes twice was counted once', async () => {
  await using ratings = await startRatings({ env: NOW });
  const hour = 3_600;
  const about = { case: 'talkId' as const, value: TALK };
  const seconds = BigInt(Math.round(Date.now() / 1_000) - hour);
  const late = recordOf(RatedSchema, { subject: TALK, about, value: 4, ratedAt: { seconds } });
  // From a machine whose clock is ahead: no wait is below zero.
  const early = recordOf(RatedSchema, {
    subject: TALK,
    about,
    value: 4,
    ratedAt: { seconds: seconds + BigInt(2 * hour) },
  });
  await append(ratings.log, late, late, early);
  await append(ratings.log, late);
  await expect.poll(() => ratings.counts(TALK)).toBe('0 2 0 0 0');
  await expect.poll(ratings.lag).toBe(0);
  const told = await scrape(ratings.url);
  const counted = (part: string, labels = {}) =>
    told.value(`tradewind_ratings_counted_seconds_${part}`, labels);
  expect(counted('count')).toBe(2);
  expect(counted('sum')).toBeGreaterThanOrEqual(hour - 1);
  expect(counted('sum')).toBeLessThan(hour + 60);
  expect(counted('bucket', { le: '0.01' })).toBe(1);
  expect(counted('bucket', { le: '21600' })).toBe(2);
});

test('a rating that fails is not counted until it is handled', async () => {
  await using ratings = await startRatings({ env: { ...NOW, RETRY_ATTEMPTS: '2' } });
  const broken = recordOf(RatedSchema, {
    subject: TALK,
    about: { case: 'talkId', value: TALK },
    value: 4,
    previousValue: 1,
  });
  await append(ratings.log, broken);
  const letters = async () =>
    (await scrape(ratings.url)).value('tradewind_dead_letters_total', {
      topic: broken.topic,
      reason: 'rejected',
    });
  await expect.poll(letters).toBe(1);
  const told = await scrape(ratings.url);
  expect(told.value('tradewind_ratings_counted_seconds_count')).toBe(0);
});
