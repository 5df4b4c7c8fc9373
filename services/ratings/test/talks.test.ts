import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { eventsOf, recordsOf } from '@tradewind/testing/events';
import { expect, test } from 'vitest';
import { startRatings, TALK } from './ratings-service.ts';

test('a talk is rated by body and by path, and its histogram follows, byte for byte', async () => {
  await using ratings = await startRatings();
  const rated = await ratings.post('/ratings', { talkId: TALK, value: 5 });
  expect(rated).toMatchObject({ status: 201, json: { talkId: TALK, value: 5 } });
  expect(rated.headers.get('location')).toBe(`/v1/ratings/${rated.json.id}`);
  for (const score of [5, 5, 4])
    expect((await ratings.post(`/talks/${TALK}/ratings`, { score })).status).toBe(201);
  const expected = '{"ratings":{"5":"3","4":"1"}}';
  await expect.poll(async () => (await ratings.get(`/ratings?talkId=${TALK}`)).text).toBe(expected);
  const answer = await ratings.get(`/talks/${TALK}/stats`);
  expect(answer).toMatchObject({ status: 200, text: expected });
  expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
  const { summary } = await ratings.call.getTalkStatistics({ talkId: TALK });
  expect(summary).toMatchObject({
    count: 4n,
    average: 4.75,
    counts: { 5: 3n, 4: 1n },
    revision: expect.any(BigInt),
  });
});

test('a rating of a talk is on the topic in its plain shape, under the talk', async () => {
  await using ratings = await startRatings({ listen: false });
  await ratings.post('/ratings', { talkId: TALK, value: 3 });
  await expect.poll(async () => (await recordsOf(ratings.log, 'ratings')).length).toBe(1);
  const [record] = await recordsOf(ratings.log, 'ratings');
  expect(record?.key).toBe(TALK);
  expect(JSON.parse(Buffer.from(record?.value ?? []).toString())).toMatchObject({ talkId: TALK, value: 3 });
  expect(await eventsOf(ratings.log, RatedSchema)).toMatchObject([
    { subject: TALK, customerId: '', revision: 1n },
  ]);
});

test('a talk that nobody rated has an empty histogram', async () => {
  await using ratings = await startRatings();
  expect((await ratings.get(`/ratings?talkId=${TALK}`)).text).toBe('{"ratings":{}}');
});
