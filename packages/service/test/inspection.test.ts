import { timestampDate, timestampFromDate } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import { EventState, InspectionService } from '@tradewind/contracts/messaging/v1/inspection';
import { OrderConfirmedSchema, OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { discardOf } from '@tradewind/messaging/dead-letter';
import { on } from '@tradewind/messaging/subscription';
import { messagingSteps } from '@tradewind/messaging/tables';
import { trailOf } from '@tradewind/messaging/trail';
import { createClient } from '@tradewind/rpc/client';
import { commonSettings, defineService } from '@tradewind/service/define';
import { append, deadLettersOf, recordOf } from '@tradewind/testing/events';
import { createDatabase } from '@tradewind/testing/postgres';
import { startService, type TestService } from '@tradewind/testing/service';
import { Client } from 'pg';
import { v7 } from 'uuid';
import { afterAll, beforeAll, expect, test } from 'vitest';

/** What a customer is named so that the handler does it. */
const FAILS = 'fails';
const REFUSED = 'refused';

const definition = defineService({
  name: 'ledger',
  version: '0.0.0',
  settings: commonSettings(0),
  schema: { entities: [], steps: messagingSteps },
  tells: [OrderConfirmedSchema],
  subscriptions: [
    on(OrderCreatedSchema, {
      load: async () => ({ save: async () => undefined }),
      apply({ orderId, customerId }, _rows, publish) {
        if (customerId === FAILS) throw new Error('the book is shut\nfor today');
        if (customerId === REFUSED) throw new ConnectError('never', Code.FailedPrecondition);
        publish(OrderConfirmedSchema, { orderId, revision: 2n });
      },
    }),
  ],
  routes: () => [],
});

let owned: Client;
let ledger: TestService;
let scope: AsyncDisposableStack;
let client: ReturnType<typeof createClient<typeof InspectionService>>;
beforeAll(async () => {
  await using opening = new AsyncDisposableStack();
  const database = opening.use(await createDatabase('ledger'));
  owned = new Client({ connectionString: database.url });
  await owned.connect();
  opening.defer(() => owned.end());
  // Nobody sends what the service tells, so that it stays where it can be looked at.
  await owned.query('SELECT pg_advisory_lock(7420002)');
  ledger = opening.use(
    await startService(definition, { databaseUrl: database.url, env: { RETRY_BASE: '10m' } }),
  );
  client = opening.use(createClient(InspectionService, { baseUrl: ledger.url }));
  scope = opening.move();
});
afterAll(() => scope?.disposeAsync());

const created = (orderId: string, customerId = '', id?: string) =>
  recordOf(
    OrderCreatedSchema,
    { orderId, customerId, lines: [{ productId: 1, quantity: 1 }], revision: 1n },
    id,
  );
const name = (id: string) => ({ source: 'test', id });
const trail = (key: string, ...ids: string[]) => client.call.getTrail({ key, events: ids.map(name) });

test('what was handled is known by name, and the fact that came of it by its key', async () => {
  const [key, id] = [v7(), v7()];
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const record = created(key, '', id);
  await append(ledger.log, { ...record, headers: { ...record.headers, traceparent } });
  await expect.poll(async () => (await trail(key, id)).heard).toHaveLength(1);
  const { group, hears, heard, facts, factsIncomplete } = await trail(key, id, 'nobody');
  expect({ group, hears, factsIncomplete }).toEqual({
    group: 'ledger',
    hears: ['order.created'],
    factsIncomplete: false,
  });
  expect(heard).toMatchObject([{ ...name(id), state: EventState.HANDLED, redrive: '' }]);
  expect(heard[0]?.held).toBeUndefined();
  expect(facts).toMatchObject([{ topic: 'order.confirmed', traceparent }]);
  const [claimed, written] = [heard[0]?.at, facts[0]?.writtenAt].map((at) => at && timestampDate(at));
  expect(Number(written)).toBeGreaterThanOrEqual(Number(claimed));
});

test('what is held is known by its key alone, in the order in which it waits', async () => {
  const [key, first, second] = [v7(), v7(), v7()];
  await append(ledger.log, created(key, FAILS, first), created(key, '', second));
  await expect.poll(async () => (await trail(key)).heard).toHaveLength(2);
  const { heard } = await trail(key);
  expect(heard.toSorted((a, b) => (a.held?.ahead ?? 0) - (b.held?.ahead ?? 0))).toMatchObject([
    {
      ...name(first),
      state: EventState.HELD,
      held: {
        topic: 'order.created',
        place: expect.stringMatching(/^order\.created\/\d\/\d+$/),
        ahead: 0,
        attempts: 1,
      },
    },
    { ...name(second), state: EventState.HELD, held: { ahead: 1 } },
  ]);
});

test('of a line that is longer than anybody asks for the first are told, and those that are named; none is counted row by row', async () => {
  const key = v7();
  await fillLine(key, 10_000);
  const { heard, heldIncomplete } = await trail(key, `${key} 7000`);
  expect(heldIncomplete).toBe(true);
  expect(heard).toHaveLength(101);
  const aheadOf = (id: string) => heard.find((one) => one.id === id)?.held?.ahead;
  expect([1, 100, 7_000].map((n) => aheadOf(`${key} ${n}`))).toEqual([0, 99, 100]);
  const short = v7();
  await fillLine(short, 100);
  expect(await trail(short)).toMatchObject({ heldIncomplete: false, heard: { length: 100 } });
  // Rows that PostgreSQL touched for the question, over all steps of its plans.
  const { pool } = ledger.database;
  let rows = 0;
  await trailOf(
    async (text, values) => {
      const { rows: plan } = await pool.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${text}`, values);
      rows += touched(plan[0]['QUERY PLAN'][0].Plan);
      return (await pool.query(text, values)).rows;
    },
    'ledger',
    { key, events: [name(`${key} 7000`)] },
  );
  expect(rows).toBeLessThan(3_000);
});

/** Holds so many events of a key, as a service does whose first one fails again and again. */
async function fillLine(key: string, count: number) {
  const { pool } = ledger.database;
  await pool.query(
    `INSERT INTO held_line (consumer_group, topic, key, attempts, next_attempt_at, error)
     VALUES ('ledger', 'order.created', $1, 3, now() + interval '1 day', 'INSERT INTO secret')`,
    [key],
  );
  await pool.query(
    `INSERT INTO held_event (consumer_group, topic, key, source, id, record_topic, record_partition, record_offset, headers, appended_at)
     SELECT 'ledger', 'order.created', $1::text, 'test', $1 || ' ' || n, 'order.created', 0, n, '{}', now() FROM generate_series(1, $2::int) n`,
    [key, count],
  );
  await pool.query(
    `INSERT INTO inbox (consumer_group, source, id, state)
     SELECT 'ledger', 'test', $1::text || ' ' || n, 'held' FROM generate_series(1, $2::int) n`,
    [key, count],
  );
  await pool.query('ANALYZE held_line, held_event, inbox');
}

interface Plan {
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly Plan[];
}

function touched(plan: Plan): number {
  const own = (plan['Actual Rows'] + (plan['Rows Removed by Filter'] ?? 0)) * plan['Actual Loops'];
  return own + (plan.Plans ?? []).reduce((sum, below) => sum + touched(below), 0);
}

test('a few are answered at a time; others are asked to come again, and who leaves makes room', async () => {
  const key = v7();
  await using locking = new AsyncDisposableStack();
  const lock = new Client({ connectionString: ledger.databaseUrl });
  await lock.connect();
  locking.defer(() => lock.end());
  await lock.query('BEGIN; LOCK TABLE held_line');
  const leaving = new AbortController();
  const codeOf = (call: Promise<unknown>) =>
    call.then(
      () => undefined,
      (error: unknown) => ConnectError.from(error).code,
    );
  const asked = Array.from({ length: 8 }, () =>
    codeOf(client.call.getTrail({ key }, { signal: leaving.signal, timeoutMs: 20_000 })),
  );
  await expect
    .poll(async () => {
      const { rows } = await ledger.database.pool.query(
        `SELECT count(*)::int AS waiting FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      return rows[0]?.waiting;
    })
    .toBe(3);
  const more = await codeOf(client.call.getTrail({ key }, { timeoutMs: 20_000 }));
  expect(more).toBe(Code.ResourceExhausted);
  leaving.abort();
  await lock.query('ROLLBACK');
  expect(await Promise.all(asked)).toContain(Code.ResourceExhausted);
  expect(await trail(key)).toMatchObject({ heard: [] });
});

test('a dead letter is dead, its letter is a fact until it has left, and a discarded one is discarded', async () => {
  const [key, id] = [v7(), v7()];
  await append(ledger.log, created(key, REFUSED, id));
  await expect.poll(async () => (await trail(key, id)).heard).toMatchObject([{ state: EventState.DEAD }]);
  expect((await trail(key, id)).facts).toMatchObject([{ topic: 'order.created.dlq', id }]);
  await append(ledger.log, discardOf(await leave(key)));
  await expect
    .poll(async () => (await trail(key, id)).heard)
    .toMatchObject([{ state: EventState.DISCARDED }]);
});

/** Lets facts leave until the key's letter lies where it belongs. */
async function leave(key: string) {
  await owned.query('SELECT pg_advisory_unlock(7420002)');
  const find = async () =>
    (await deadLettersOf(ledger.log, OrderCreatedSchema)).find((one) => one.key === key);
  await expect.poll(find).toBeDefined();
  await expect.poll(async () => (await trail(key)).facts).toEqual([]);
  const letter = await find();
  if (!letter) throw new Error('no letter');
  return letter;
}

test('an outbox that is longer than anybody looks through is looked into at the time in question', async () => {
  await ledger.stop();
  await using other = await createDatabase('ledger');
  await using holder = new AsyncDisposableStack();
  const lock = new Client({ connectionString: other.url });
  await lock.connect();
  holder.defer(() => lock.end());
  await lock.query('SELECT pg_advisory_lock(7420002)');
  await using long = await startService(definition, { databaseUrl: other.url, listen: false });
  await using asking = createClient(InspectionService, { baseUrl: long.url });
  const key = v7();
  await long.database.pool.query(
    `INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, source, content_type, created_at)
     SELECT gen_random_uuid(), 'order.confirmed', CASE n WHEN 110000 THEN $1 ELSE n::text END, 'T', '', 'ledger', 'application/json',
       timestamptz '2026-01-01Z' + n * interval '1 s' FROM generate_series(1, 130000) AS n`,
    [key],
  );
  const ask = (factsSince?: Date) =>
    asking.call.getTrail({ key, ...(factsSince && { factsSince: timestampFromDate(factsSince) }) });
  const at = new Date(Date.UTC(2026, 0, 1) + 110_000_000);
  expect(await ask(at)).toMatchObject({
    facts: [{ writtenAt: timestampFromDate(at) }],
    factsIncomplete: false,
  });
  // Not found, and not said to be nowhere.
  expect(await ask()).toMatchObject({ facts: [], factsIncomplete: true });
  expect(await ask(new Date(Date.UTC(2026, 0, 1)))).toMatchObject({ facts: [], factsIncomplete: true });
});

test('nonsense is refused', async () => {
  await using service = await startService(definition, { listen: false });
  await using asking = createClient(InspectionService, { baseUrl: service.url });
  const code = (question: Parameters<typeof asking.call.getTrail>[0]) =>
    asking.call.getTrail(question).then(
      () => 0,
      (error: unknown) => ConnectError.from(error).code,
    );
  expect(await code({ key: '' })).toBe(Code.InvalidArgument);
  expect(await code({ key: 'k'.repeat(256) })).toBe(Code.InvalidArgument);
  expect(await code({ key: 'k', events: Array.from({ length: 101 }, () => name('e')) })).toBe(
    Code.InvalidArgument,
  );
  expect(await code({ key: 'k', events: [name('')] })).toBe(Code.InvalidArgument);
  expect(await code({ key: 'k', events: [name('a\u0000b')] })).toBe(Code.InvalidArgument);
  expect(await code({ key: 'k', factsSince: { seconds: 1n << 60n } })).toBe(Code.InvalidArgument);
  // What nobody can store, nobody has.
  expect(await code({ key: 'a\u0000b' })).toBe(Code.InvalidArgument);
});
