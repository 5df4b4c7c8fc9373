import { findRecords } from '@tradewind/messaging/find-records';
import type { EventLog } from '@tradewind/messaging/log';
import { openLog } from '@tradewind/messaging/open-log';
import { SparingLog } from '@tradewind/messaging/sparing-log';
import { createLogger } from '@tradewind/telemetry/logger';
import { append } from '@tradewind/testing/events';
import { createDatabase } from '@tradewind/testing/postgres';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

const topic = 'parcels';
const hour = (n: number) => new Date(Date.UTC(2026, 0, 1, n));

let log: EventLog;
let sql: Client;
let scope: AsyncDisposableStack;
/** What was read, for a search must not read it all. */
let read = 0;
let watched: Pick<EventLog, 'read' | 'bounds'>;

// 4,000 records, one each second from 0 o'clock on; the key's are at 20 and 60 minutes.
beforeAll(async () => {
  await using opening = new AsyncDisposableStack();
  const database = opening.use(await createDatabase('log'));
  const logger = createLogger({ service: 'test', level: 'silent' });
  log = opening.use(await openLog({ url: database.url, logger }));
  await log.createTopics([{ name: topic, partitions: 1, retentionMs: null }]);
  const keys = Array.from({ length: 4_000 }, (_, n) => (n === 1_200 || n === 3_600 ? 'mine' : `other ${n}`));
  await append(log, ...keys.map((key) => ({ topic, key, value: Buffer.from('x'), headers: {} })));
  sql = new Client({ connectionString: database.url });
  await sql.connect();
  opening.defer(() => sql.end());
  await sql.query(`UPDATE event_log.record SET appended_at = $1::timestamptz + "offset" * interval '1 s'`, [
    hour(0),
  ]);
  watched = {
    bounds: (name) => log.bounds(name),
    async read(from, limit) {
      const records = await log.read(from, limit);
      read += records.length;
      return records;
    },
  };
  scope = opening.move();
});
afterAll(() => scope?.disposeAsync());

const offsetsOf = ({ records }: Awaited<ReturnType<typeof findRecords>>) =>
  records.map(({ offset }) => offset);

test('from the beginning on everything is found, and nothing else is there', async () => {
  const found = await findRecords(log, { topic, key: 'mine', from: [hour(0)] });
  expect(offsetsOf(found)).toEqual([1_200n, 3_600n]);
  expect(found).toMatchObject({ complete: true, cut: false });
});

test('around a time only what lies there is read', async () => {
  read = 0;
  const [from, until] = [new Date(hour(0).getTime() + 1_200_000), new Date(hour(0).getTime() + 1_210_000)];
  const found = await findRecords(watched, { topic, key: 'mine', from: [from], until });
  expect(offsetsOf(found)).toEqual([1_200n]);
  expect(found.complete).toBe(true);
  expect(read).toBeLessThan(1_100);
});

test('a bound that is reached is said', async () => {
  const short = await findRecords(log, { topic, key: 'mine', from: [hour(0)], most: 1_000 });
  expect(offsetsOf(short)).toEqual([]);
  expect(short.complete).toBe(false);
  // A gap between two places that were looked at is one as well.
  const both = await findRecords(log, { topic, key: 'mine', from: [hour(0), hour(1)], most: 2_000 });
  expect(offsetsOf(both)).toEqual([3_600n]);
  expect(both.complete).toBe(false);
  const whole = await findRecords(log, { topic, key: 'mine', from: [hour(0), 3_000n], most: 8_000 });
  expect(offsetsOf(whole)).toEqual([1_200n, 3_600n]);
  expect(whole.complete).toBe(true);
});

test('what nobody expects is not looked for beyond its time', async () => {
  read = 0;
  const until = new Date(hour(0).getTime() + 60_000);
  const found = await findRecords(watched, { topic, key: 'nobody', from: [hour(0)], until, unlikely: true });
  expect(found).toMatchObject({ records: [], complete: true });
  expect(read).toBeLessThan(600);
  const expected = await findRecords(log, { topic, key: 'mine', from: [hour(0)], until });
  expect(offsetsOf(expected)).toEqual([1_200n]);
});

test('an end that was reached before the time in question, and no topic at all', async () => {
  expect(await findRecords(log, { topic, key: 'mine', from: [hour(9)] })).toMatchObject({
    records: [],
    // Nothing but the log's clock says so.
    complete: false,
  });
  expect(await findRecords(log, { topic: 'nothing', key: 'mine', from: [hour(0)] })).toEqual({
    records: [],
    bounds: undefined,
    complete: true,
    cut: false,
  });
});

test('records that were removed may have been among them', async () => {
  await sql.query(`DELETE FROM event_log.record WHERE "offset" < 2000`);
  await sql.query('UPDATE event_log.partition SET start_offset = 2000');
  expect(await findRecords(log, { topic, key: 'mine', from: [hour(0)] })).toMatchObject({
    cut: true,
    records: [{ offset: 3_600n }],
  });
  expect(await findRecords(log, { topic, key: 'mine', from: [hour(1)] })).toMatchObject({ cut: false });
});

/** 20,000 records of which the log's clock says that they came a minute before they were told, ten a second. */
function slowLog(headersAt: (told: Date) => Record<string, string>) {
  const records = Array.from({ length: 20_000 }, (_, n) => {
    const told = new Date(hour(0).getTime() + n * 100);
    const appendedAt = new Date(told.getTime() - 60_000);
    const key = n === 19_000 ? 'mine' : `other ${n}`;
    return { topic, partition: 0, offset: BigInt(n), key, value: null, headers: headersAt(told), appendedAt };
  });
  return {
    id: 'slow',
    lag: async () => [],
    bounds: async () => [{ topic, partition: 0, start: 0n, end: 20_000n }],
    read: async ({ offset }: { offset: bigint }, limit: number) =>
      records.slice(Number(offset), Number(offset) + limit),
  };
}

test('a log whose clock is behind: what was not found is not said to be nowhere, and by the time of its telling it is found', async () => {
  const told = new Date(hour(0).getTime() + 1_900_000);
  const search = { topic, key: 'mine', from: [told] };
  const blind = await findRecords(
    slowLog(() => ({})),
    search,
  );
  expect(blind).toMatchObject({ records: [], complete: false });
  const ofTime = slowLog((time) => ({ ce_time: time.toISOString() }));
  expect(await findRecords(ofTime, search)).toMatchObject({
    records: [{ offset: 19_000n }],
    complete: true,
  });
  expect(await findRecords(ofTime, { ...search, key: 'nobody' })).toMatchObject({
    records: [],
    complete: true,
  });
});

test('whoever only wants to know reads no more than was granted, and nothing once they left', async () => {
  const slow = slowLog(() => ({}));
  let asked = 0;
  const counting = {
    ...slow,
    read: (from: { offset: bigint }, limit: number) => {
      asked++;
      return slow.read(from, limit);
    },
  };
  const leaving = new AbortController();
  const sparing = new SparingLog(counting, { signal: leaving.signal, most: 700 });
  const found = await findRecords(sparing, { topic, key: 'mine', from: [0n] });
  expect(found).toMatchObject({ records: [], complete: false });
  expect(sparing.left).toBe(0);
  // The next search of the same look gets nothing more.
  asked = 0;
  expect(await findRecords(sparing, { topic, key: 'mine', from: [0n] })).toMatchObject({ complete: false });
  expect(asked).toBe(0);
  const other = new SparingLog(counting, { signal: leaving.signal, most: 10_000 });
  leaving.abort(new Error('gone'));
  await expect(findRecords(other, { topic, key: 'mine', from: [0n] })).rejects.toThrow('gone');
  expect(asked).toBe(0);
});
