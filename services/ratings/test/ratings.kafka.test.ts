import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { topicOf } from '@tradewind/messaging/contract';
import { redriveOf } from '@tradewind/messaging/dead-letter';
import { createLogger } from '@tradewind/telemetry/logger';
import { append, deadLettersOf, recordOf } from '@tradewind/testing/events';
import { type Broker, startBroker } from '@tradewind/testing/kafka';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { rebuild } from '../rebuild.ts';
import { startRatings, TALK, type TestRatings } from './ratings-service.ts';

// A broker of its own: who else runs ratings on the run's would take part of its group's partitions.
let broker: Broker;
let ratings: TestRatings;
beforeAll(async () => {
  broker = await startBroker();
  ratings = await startRatings({ logUrl: broker.url });
});
afterAll(async () => {
  await ratings?.[Symbol.asyncDispose]();
  await broker?.[Symbol.asyncDispose]();
});

const logger = createLogger({ service: 'test', level: 'silent' });
const { signal } = new AbortController();
const rebuilt = () => rebuild({ ...ratings, logger, signal, print: () => undefined });
const tallies = () =>
  ratings.query('SELECT subject, count_1, count_2, count_3, count_4, count_5 FROM tally ORDER BY subject');
const byRatings = () =>
  ratings.query(`SELECT subject, ${[1, 2, 3, 4, 5].map((n) => `count(*) FILTER (WHERE value = ${n}) AS count_${n}`).join(', ')}
    FROM rating GROUP BY subject ORDER BY subject`);

test('ratings of all kinds and their changes are counted, and made again the same while they go on', async () => {
  await ratings.product(1);
  const serviceProviderId = await ratings.provider();
  const customers = await Promise.all(Array.from({ length: 5 }, (_, n) => ratings.customer(`C${n}x`)));
  let going = true;
  const load = Promise.all([
    ...customers.map(async (customerId) => {
      await ratings.post('/v1/products/1/ratings', { customerId, rating: 1 });
      const { json } = await ratings.post('/v1/ratings', { customerId, serviceProviderId, rating: 1 });
      for (let n = 0; going; n++) await ratings.put(`/v1/ratings/${json.id}`, { rating: 1 + (n % 5) });
    }),
    (async () => {
      for (let n = 0; going; n++) await ratings.call.rateTalk({ talkId: TALK, value: 1 + (n % 5) });
    })(),
  ]);
  try {
    for (let n = 0; n < 2; n++) expect((await rebuilt()).different, `rebuild ${n}`).toBe(0);
  } finally {
    going = false;
    await load;
  }
  await expect.poll(ratings.lag).toBe(0);
  await expect.poll(tallies).toEqual(await byRatings());
  expect(await rebuilt()).toMatchObject({ subjects: 3, different: 0 });
});

test('an event that comes twice counts once; what nobody can read, once it is corrected; the log alone brings all of it back', async () => {
  await ratings.call.createTalk({ id: 'once', title: 'Once' });
  const talk = recordOf(RatedSchema, { subject: 'once', about: { case: 'talkId', value: 'once' }, value: 4 });
  const { name: topic } = topicOf(RatedSchema);
  await append(ratings.log, talk, talk, {
    topic,
    key: 'once',
    value: Buffer.from('five stars!'),
    headers: {},
  });
  await append(ratings.log, talk);
  await expect.poll(async () => (await deadLettersOf(ratings.log, RatedSchema)).length).toBe(1);
  await expect.poll(() => ratings.counts('once')).toBe('0 1 0 0 0');
  const [letter] = await deadLettersOf(ratings.log, RatedSchema);
  if (!letter) throw new Error('no letter');
  const value = Buffer.from('{"talkId":"once","value":5}');
  await append(ratings.log, redriveOf(letter, { key: 'once', value }));
  await expect.poll(() => ratings.counts('once')).toBe('1 1 0 0 0');
  await expect.poll(ratings.lag).toBe(0);
  const before = await tallies();
  expect(await rebuilt()).toMatchObject({ different: 0 });
  await ratings.query('TRUNCATE tally, inbox');
  expect(await rebuilt()).toMatchObject({ different: 4 });
  expect(await tallies()).toEqual(before);
});
