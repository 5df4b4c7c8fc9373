import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { topicOf } from '@tradewind/messaging/contract';
import { redriveOf } from '@tradewind/messaging/dead-letter';
import { createLogger } from '@tradewind/telemetry/logger';
import { append, deadLettersOf, recordOf } from '@tradewind/testing/events';
import { expect, test } from 'vitest';
import { rebuild } from '../rebuild.ts';
import { startRatings, TALK, type TestRatings } from './ratings-service.ts';

const logger = createLogger({ service: 'test', level: 'silent' });

function rebuilt({ database, log }: TestRatings, signal = new AbortController().signal) {
  return rebuild({ database, log, logger, signal, print: () => undefined });
}

const tallies = ({ query }: TestRatings) =>
  query(`SELECT subject, count_1, count_2, count_3, count_4, count_5, changed_at FROM tally
    WHERE count_1 + count_2 + count_3 + count_4 + count_5 > 0 ORDER BY subject`);

/** As the ratings themselves have it. */
const byRatings = ({ query }: TestRatings) =>
  query(`SELECT subject, ${[1, 2, 3, 4, 5].map((n) => `count(*) FILTER (WHERE value = ${n}) AS count_${n}`).join(', ')},
    max(updated_at) AS changed_at FROM rating GROUP BY subject ORDER BY subject`);

const talk = (value: number, id?: string) =>
  recordOf(RatedSchema, { subject: TALK, about: { case: 'talkId', value: TALK }, value }, id);

test('made again beside the live one, while ratings are given and changed: each time exactly the same', async () => {
  await using ratings = await startRatings();
  for (const id of ['a', 'b', 'c']) await ratings.call.createTalk({ id, title: id });
  await ratings.product(1);
  const customers = await Promise.all(Array.from({ length: 10 }, (_, n) => ratings.customer(`C${n}x`)));
  let going = true;
  const rate = async () => {
    for (let n = 0; going; n++) {
      const value = 1 + (n % 5);
      await ratings.call.rateTalk({ talkId: ['a', 'b', 'c', TALK][n % 4] ?? TALK, value });
    }
  };
  const change = async (customerId: string) => {
    const { json } = await ratings.post('/v1/products/1/ratings', { customerId, rating: 1 });
    for (let n = 0; going; n++) await ratings.put(`/v1/ratings/${json.id}`, { rating: 1 + (n % 5) });
  };
  const load = Promise.all([rate(), rate(), ...customers.map(change)]);
  for (let n = 0; n < 3; n++) expect((await rebuilt(ratings)).different, `rebuild ${n}`).toBe(0);
  going = false;
  await load;
  await expect.poll(ratings.lag).toBe(0);
  await expect.poll(() => tallies(ratings)).toEqual(await byRatings(ratings));
  const { events, subjects, different } = await rebuilt(ratings);
  expect({ subjects, different }).toEqual({ subjects: 5, different: 0 });
  expect(events).toBeGreaterThan(100);
  expect(await tallies(ratings)).toEqual(await byRatings(ratings));
  expect(await ratings.query('SELECT FROM tally_rebuild UNION ALL SELECT FROM tally_rebuild_seen')).toEqual(
    [],
  );
});

test('a model that went wrong is right again, whatever was wrong with it', async () => {
  await using ratings = await startRatings();
  for (const id of ['a', 'b']) await ratings.call.createTalk({ id, title: id });
  for (const talkId of ['a', 'b', TALK]) await ratings.call.rateTalk({ talkId, value: 3 });
  await expect.poll(() => ratings.counts('b')).toBe('0 0 1 0 0');
  await expect.poll(ratings.lag).toBe(0);
  const before = await ratings.query('SELECT subject, revision FROM tally');
  await ratings.query("UPDATE tally SET count_5 = 7 WHERE subject = 'a'");
  await ratings.query("DELETE FROM tally WHERE subject = 'b'");
  await ratings.query("INSERT INTO tally VALUES ('nonsense', 1, 2, 3, 4, 5, now(), 9)");
  expect(await rebuilt(ratings)).toMatchObject({ events: 3, different: 3 });
  expect(await tallies(ratings)).toEqual(await byRatings(ratings));
  // Whoever follows by revision sees a newer one.
  const after = new Map(
    (await ratings.query('SELECT subject, revision FROM tally')).map((row) => [
      row.subject,
      BigInt(row.revision),
    ]),
  );
  for (const { subject, revision } of before)
    if (subject === 'a') expect(after.get(subject)).toBeGreaterThan(BigInt(revision));
  expect(await ratings.counts('nonsense')).toBe('0 0 0 0 0');
});

test('what the group has not handled yet counts when it does, and what lies twice on the topic counts once', async () => {
  await using ratings = await startRatings({ listen: false });
  const { databaseUrl, logUrl } = ratings;
  const id = '01890a5d-ac96-774b-bcce-b302099a8057';
  await append(ratings.log, talk(1, id), talk(1, id), talk(2));
  expect(await rebuilt(ratings)).toMatchObject({ events: 0 });
  {
    await using listening = await startRatings({ databaseUrl, logUrl });
    await expect.poll(listening.lag).toBe(0);
  }
  await append(ratings.log, talk(1, id), talk(5));
  expect(await rebuilt(ratings)).toMatchObject({ events: 2, different: 0 });
  expect(await ratings.counts(TALK)).toBe('0 0 0 1 1');
  await using listening = await startRatings({ databaseUrl, logUrl });
  await expect.poll(listening.lag).toBe(0);
  expect(await ratings.counts(TALK)).toBe('1 0 0 1 1');
  expect(await rebuilt(ratings)).toMatchObject({ different: 0 });
});

test('after the database was lost the log alone brings it back', async () => {
  await using ratings = await startRatings();
  await append(ratings.log, talk(1), talk(2), talk(2));
  await expect.poll(() => ratings.counts(TALK)).toBe('0 0 0 2 1');
  await expect.poll(ratings.lag).toBe(0);
  await ratings.query('TRUNCATE tally, inbox');
  expect(await rebuilt(ratings)).toMatchObject({ events: 3, different: 1 });
  expect(await ratings.counts(TALK)).toBe('0 0 0 2 1');
});

test('dead letters count once they are brought back, as they were corrected, and not before', async () => {
  await using ratings = await startRatings();
  const { name: topic } = topicOf(RatedSchema);
  await append(ratings.log, { topic, key: TALK, value: Buffer.from('five stars!'), headers: {} }, talk(2));
  await expect.poll(async () => (await deadLettersOf(ratings.log, RatedSchema)).length).toBe(1);
  await expect.poll(() => ratings.counts(TALK)).toBe('0 0 0 1 0');
  expect(await rebuilt(ratings)).toMatchObject({ events: 1, different: 0 });
  const [letter] = await deadLettersOf(ratings.log, RatedSchema);
  if (!letter) throw new Error('no letter');
  const value = Buffer.from(`{"talkId":"${TALK}","value":5}`);
  await append(ratings.log, redriveOf(letter, { key: TALK, value }), redriveOf(letter, { key: TALK, value }));
  await expect.poll(() => ratings.counts(TALK)).toBe('1 0 0 1 0');
  expect(await rebuilt(ratings)).toMatchObject({ events: 2, different: 0 });
  expect(await ratings.counts(TALK)).toBe('1 0 0 1 0');
});

test('one at a time; one that is given up leaves the live model as it is, and the next one does not mind', async () => {
  await using ratings = await startRatings();
  await append(ratings.log, talk(4));
  await expect.poll(() => ratings.counts(TALK)).toBe('0 1 0 0 0');
  await ratings.query("INSERT INTO tally_rebuild VALUES ('left', 9, 9, 9, 9, 9, now())");
  await ratings.query('INSERT INTO tally_rebuild_seen SELECT source, id FROM inbox');
  const gone = new AbortController();
  gone.abort(new Error('stopped'));
  await expect(rebuilt(ratings, gone.signal)).rejects.toThrow('stopped');
  const both = await Promise.allSettled([rebuilt(ratings), rebuilt(ratings)]);
  const refused = both.flatMap((result) => (result.status === 'rejected' ? [String(result.reason)] : []));
  expect(refused.every((reason) => reason.includes('another rebuild is under way'))).toBe(true);
  expect(refused.length).toBeLessThan(2);
  expect(await ratings.counts(TALK)).toBe('0 1 0 0 0');
  expect(await rebuilt(ratings)).toMatchObject({ events: 1, different: 0 });
});
