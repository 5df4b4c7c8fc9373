import { ProductCreatedSchema, ProductDeletedSchema } from '@tradewind/contracts/product/v1/events';
import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { topicOf } from '@tradewind/messaging/contract';
import { cleanOnce, inboxChores } from '@tradewind/messaging/housekeeping';
import type { LogRecord } from '@tradewind/messaging/log';
import { configOf } from '@tradewind/service/run';
import { createLogger } from '@tradewind/telemetry/logger';
import { append, deadLettersOf, recordOf } from '@tradewind/testing/events';
import { expect, test } from 'vitest';
import { service } from '../service.ts';
import { startRatings, TALK, type TestRatings } from './ratings-service.ts';

const talk = (value: number, id?: string) =>
  recordOf(RatedSchema, { subject: TALK, about: { case: 'talkId', value: TALK }, value }, id);
const bare = (json: string, key: string | null = TALK): LogRecord => ({
  topic: topicOf(RatedSchema).name,
  key,
  value: Buffer.from(json),
  headers: {},
});
const settled = (ratings: TestRatings) => expect.poll(ratings.lag).toBe(0);

test('an event that comes twice counts once, in one batch and in two', async () => {
  await using ratings = await startRatings();
  const id = '01890a5d-ac96-774b-bcce-b302099a8057';
  await append(ratings.log, talk(4, id), talk(4, id));
  await expect.poll(() => ratings.counts(TALK)).toBe('0 1 0 0 0');
  await append(ratings.log, talk(4, id), talk(5));
  await expect.poll(() => ratings.counts(TALK)).toBe('1 1 0 0 0');
  await settled(ratings);
  expect(await ratings.counts(TALK)).toBe('1 1 0 0 0');
});

test('what nobody can read is a dead letter, and the next ones are counted', async () => {
  await using ratings = await startRatings();
  await append(
    ratings.log,
    bare('neither { JSON nor'),
    bare(`{"talkId":"${TALK}","value":6}`),
    bare(`{"talkId":"${TALK}"}`),
    bare('{"value":5}'),
    bare(`{"talkId":"${TALK}","subject":"product/1","value":5}`),
    talk(3),
  );
  await expect.poll(() => ratings.counts(TALK)).toBe('0 0 1 0 0');
  await expect.poll(async () => (await deadLettersOf(ratings.log, RatedSchema)).length).toBe(5);
});

test("anybody's rating of a talk counts, once a record, also when nobody here knows the talk yet", async () => {
  await using ratings = await startRatings();
  const five = `{"talkId":"${TALK}","value":5}`;
  await append(ratings.log, bare(five), bare(five), bare('{"talkId":"coming-soon","value":2}', null));
  await expect.poll(() => ratings.counts(TALK)).toBe('2 0 0 0 0');
  await expect.poll(() => ratings.counts('coming-soon')).toBe('0 0 0 1 0');
  expect((await ratings.get('/ratings?talkId=coming-soon')).status).toBe(404);
  await ratings.call.createTalk({ id: 'coming-soon', title: 'Coming soon' });
  expect((await ratings.get('/ratings?talkId=coming-soon')).text).toBe('{"ratings":{"2":"1"}}');
});

test('a change of a rating that was never given is refused, and becomes a dead letter: no count is ever negative', async () => {
  await using ratings = await startRatings();
  await append(ratings.log, bare(`{"talkId":"${TALK}","value":5,"previousValue":1}`), talk(2));
  await expect.poll(async () => (await deadLettersOf(ratings.log, RatedSchema)).length).toBe(1);
  await expect.poll(() => ratings.counts(TALK)).toBe('0 0 0 1 0');
});

test('events of products in any order, and twice: the newest counts', async () => {
  await using ratings = await startRatings();
  const created = recordOf(ProductCreatedSchema, { productId: 1, name: 'Desk', revision: 1n });
  const deleted = recordOf(ProductDeletedSchema, { productId: 1, revision: 2n });
  await append(ratings.log, deleted, created, created, deleted);
  await settled(ratings);
  expect(await ratings.query("SELECT deleted FROM subject WHERE id = 'product/1'")).toEqual([
    { deleted: true },
  ]);
  const { topic } = created;
  await append(ratings.log, { topic, key: '2', value: Buffer.from('garbage'), headers: {} });
  await append(ratings.log, recordOf(ProductCreatedSchema, { productId: 2, name: 'Lamp', revision: 1n }));
  await expect
    .poll(() => ratings.query("SELECT name FROM subject WHERE id = 'product/2'"))
    .toEqual([{ name: 'Lamp' }]);
  await expect.poll(() => deadLettersOf(ratings.log, ProductCreatedSchema)).toHaveLength(1);
});

test('a group that begins again from the first record, years later, counts nothing twice', async () => {
  await using ratings = await startRatings({ listen: false });
  const { databaseUrl, logUrl } = ratings;
  await append(ratings.log, talk(1), talk(2), bare(`{"talkId":"${TALK}","value":5}`));
  const listening = () => startRatings({ databaseUrl, logUrl });
  {
    await using _ = await listening();
    await expect.poll(() => ratings.counts(TALK)).toBe('1 0 0 1 1');
    await settled(ratings);
  }
  await ratings.query("UPDATE inbox SET handled_at = handled_at - interval '30 years'");
  const env = { DATABASE_URL: databaseUrl, EVENT_LOG_URL: logUrl };
  const { INBOX_WINDOW } = configOf(service, { env });
  const logger = createLogger({ service: 'test', level: 'silent' });
  const { signal } = new AbortController();
  await cleanOnce({ database: ratings.database, chores: inboxChores(INBOX_WINDOW), logger, signal });
  await ratings.log.rewind(
    'ratings',
    service.subscriptions.map(({ topic }) => topic),
  );
  await using _ = await listening();
  await append(ratings.log, talk(3));
  await expect.poll(() => ratings.counts(TALK)).toBe('1 0 1 1 1');
  await settled(ratings);
  expect(await ratings.counts(TALK)).toBe('1 0 1 1 1');
});
