import { OrderCanceledSchema, OrderConfirmedSchema } from '@tradewind/contracts/order/v1/events';
import { factOf } from '@tradewind/messaging/event';
import type { EventLog, LogRecord } from '@tradewind/messaging/log';
import { Facts } from '@tradewind/messaging/outbox';
import { startRelay } from '@tradewind/messaging/relay';
import { v7 } from 'uuid';
import { expect, test } from 'vitest';
import { type Ledger, logger, openLedger } from './ledger.ts';

const HOUR = 3_600_000;

async function tell(ledger: Ledger, orderId: string, ...revisions: number[]): Promise<void> {
  await ledger.database.transaction(async (em) => {
    const facts = new Facts('order');
    for (const revision of revisions)
      facts.publish(OrderConfirmedSchema, { orderId, revision: BigInt(revision) });
    await facts.save(em);
  });
}
const confirmed = async (ledger: Ledger) =>
  (await ledger.records('order.confirmed')).map(
    ({ value }) => JSON.parse(String(value)) as { order_id: string; revision: string },
  );
const depth = async ({ database }: Ledger) =>
  Number((await database.pool.query('SELECT count(*) FROM outbox')).rows[0].count);

test('a fact leaves with its transaction, or not at all', async () => {
  await using ledger = await openLedger();
  await using relay = startRelay({ databaseUrl: ledger.databaseUrl, log: ledger.log, logger });
  const [kept, undone] = [v7(), v7()];
  await expect(
    ledger.database.transaction(async (em) => {
      const facts = new Facts('order');
      facts.publish(OrderConfirmedSchema, { orderId: undone, revision: 1n });
      await facts.save(em);
      throw new Error('undone');
    }),
  ).rejects.toThrow('undone');
  await tell(ledger, kept, 1);
  relay.wake();
  await expect.poll(() => confirmed(ledger)).toEqual([{ order_id: kept, revision: '1' }]);
  await expect.poll(() => depth(ledger)).toBe(0);
});

test('the record is a CloudEvent in binary mode', async () => {
  await using ledger = await openLedger();
  await using relay = startRelay({ databaseUrl: ledger.databaseUrl, log: ledger.log, logger });
  const orderId = v7();
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  await ledger.database.transaction(async (em) => {
    const facts = new Facts('order');
    facts.publish(
      OrderCanceledSchema,
      { orderId, reason: 'ünïcode', revision: 3n },
      { traceparent, tracestate: 'a=b' },
    );
    await facts.save(em);
  });
  relay.wake();
  await expect.poll(async () => (await ledger.records('order.canceled')).length).toBe(1);
  const [record] = await ledger.records('order.canceled');
  expect(record?.key).toBe(orderId);
  expect(String(record?.value)).toBe(`{"order_id":"${orderId}","reason":"ünïcode","revision":"3"}`);
  expect(record?.headers).toEqual({
    ce_specversion: '1.0',
    ce_id: expect.stringMatching(/^[0-9a-f-]{14}7[0-9a-f-]{21}$/),
    ce_type: 'tradewind.order.v1.OrderCanceled',
    ce_source: 'order',
    ce_time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    ce_subject: orderId,
    'content-type': 'application/json',
    traceparent,
    tracestate: 'a=b',
  });
});

test('it wakes without waiting for the poll, in this process and from another', async () => {
  await using ledger = await openLedger();
  const options = { databaseUrl: ledger.databaseUrl, log: ledger.log, logger, pollMs: HOUR };
  await using one = startRelay(options);
  await using other = startRelay(options);
  await expect.poll(() => [one.owner, other.owner].filter(Boolean)).toHaveLength(1);
  await expect.poll(() => [one.trouble, other.trouble]).toEqual([undefined, undefined]);
  const [owner, guest] = one.owner ? [one, other] : [other, one];
  const orderId = v7();
  await tell(ledger, orderId, 1);
  owner.wake();
  await expect.poll(async () => (await confirmed(ledger)).length).toBe(1);
  await tell(ledger, orderId, 2);
  guest.wake();
  await expect.poll(async () => (await confirmed(ledger)).length).toBe(2);
});

test('a fact that commits late is sent though later positions have left before it', async () => {
  await using ledger = await openLedger();
  await using relay = startRelay({ databaseUrl: ledger.databaseUrl, log: ledger.log, logger });
  const [slow, fast] = [v7(), v7()];
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
  const { promise: taken, resolve: took } = Promise.withResolvers<void>();
  const late = ledger.database.transaction(async (em) => {
    const facts = new Facts('order');
    facts.publish(OrderConfirmedSchema, { orderId: slow, revision: 1n });
    await facts.save(em);
    took();
    await held;
  });
  await taken;
  await tell(ledger, fast, 1);
  relay.wake();
  await expect.poll(async () => (await confirmed(ledger)).map((event) => event.order_id)).toEqual([fast]);
  letGo();
  await late;
  relay.wake();
  await expect
    .poll(async () => (await confirmed(ledger)).map((event) => event.order_id).toSorted())
    .toEqual([slow, fast].toSorted());
});

test('records of one key leave in their order, whichever process sends them', async () => {
  await using ledger = await openLedger();
  const options = { databaseUrl: ledger.databaseUrl, log: ledger.log, logger, batch: 7 };
  const keys = Array.from({ length: 4 }, () => v7());
  const first = startRelay(options);
  await using _second = startRelay(options);
  for (let revision = 1; revision <= 60; revision += 3) {
    await Promise.all(keys.map((key) => tell(ledger, key, revision, revision + 1, revision + 2)));
    if (revision === 31) await first[Symbol.asyncDispose]();
  }
  await expect.poll(() => depth(ledger), { timeout: 10_000 }).toBe(0);
  const seen = await confirmed(ledger);
  for (const key of keys) {
    const revisions = seen.filter((event) => event.order_id === key).map((event) => Number(event.revision));
    expect([...new Set(revisions)]).toEqual(Array.from({ length: 60 }, (_, n) => n + 1));
  }
});

test('a log that is away loses nothing, and a crash between append and delete only repeats', async () => {
  await using ledger = await openLedger();
  let appends = 0;
  const faulty: EventLog = {
    ...ledger.log,
    id: ledger.log.id,
    async producer() {
      const producer = await ledger.log.producer();
      return {
        async append(records: readonly LogRecord[]) {
          appends++;
          if (appends <= 3) throw new Error('the log is away');
          const positions = await producer.append(records);
          if (appends === 4) throw new Error('died right after the append');
          return positions;
        },
        [Symbol.asyncDispose]: () => producer[Symbol.asyncDispose](),
      };
    },
  };
  await using relay = startRelay({ databaseUrl: ledger.databaseUrl, log: faulty, logger });
  const orderId = v7();
  await tell(ledger, orderId, 1, 2, 3);
  relay.wake();
  await expect.poll(() => depth(ledger), { timeout: 15_000 }).toBe(0);
  const records = await ledger.records('order.confirmed');
  expect(records.map(({ value }) => JSON.parse(String(value)).revision)).toEqual([
    '1',
    '2',
    '3',
    '1',
    '2',
    '3',
  ]);
  expect(new Set(records.map(({ headers }) => headers.ce_id)).size).toBe(3);
});

test('large payloads leave a few at a time, in order', async () => {
  await using ledger = await openLedger();
  const orderId = v7();
  const reason = 'x'.repeat(1024 * 1024);
  for (let revision = 1; revision <= 40; revision++) {
    await ledger.database.transaction(async (em) => {
      const facts = new Facts('order');
      facts.publish(OrderCanceledSchema, { orderId, reason, revision: BigInt(revision) });
      await facts.save(em);
    });
  }
  const sizes: number[] = [];
  const watched: EventLog = {
    ...ledger.log,
    id: ledger.log.id,
    async producer() {
      const producer = await ledger.log.producer();
      return {
        append(records: readonly LogRecord[]) {
          sizes.push(records.length);
          return producer.append(records);
        },
        [Symbol.asyncDispose]: () => producer[Symbol.asyncDispose](),
      };
    },
  };
  await using _relay = startRelay({ databaseUrl: ledger.databaseUrl, log: watched, logger });
  await expect.poll(() => depth(ledger), { timeout: 20_000 }).toBe(0);
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(40);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(16);
  const revisions = (await ledger.records('order.canceled')).map(
    ({ value }) => JSON.parse(String(value)).revision,
  );
  expect(revisions).toEqual(Array.from({ length: 40 }, (_, n) => String(n + 1)));
});

test('a relay whose connection is cut goes on', async () => {
  await using ledger = await openLedger();
  await using relay = startRelay({ databaseUrl: ledger.databaseUrl, log: ledger.log, logger });
  const orderId = v7();
  await tell(ledger, orderId, 1);
  relay.wake();
  await expect.poll(async () => (await confirmed(ledger)).length).toBe(1);
  await ledger.database.pool.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'relay' AND datname = current_database()`,
  );
  await tell(ledger, orderId, 2);
  relay.wake();
  await expect.poll(async () => (await confirmed(ledger)).length, { timeout: 10_000 }).toBe(2);
});

test('the outbox has the columns of Debezium’s event router, and only takes inserts and deletes', async () => {
  await using ledger = await openLedger();
  const { rows } = await ledger.database.pool.query(
    `SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'outbox'`,
  );
  const types = Object.fromEntries(rows.map((row) => [row.column_name, row.data_type]));
  expect(types).toMatchObject({
    id: 'uuid',
    aggregatetype: 'text',
    aggregateid: 'text',
    type: 'text',
    payload: 'bytea',
  });
  await tell(ledger, v7(), 1);
  {
    await using _relay = startRelay({ databaseUrl: ledger.databaseUrl, log: ledger.log, logger });
    await expect.poll(() => depth(ledger)).toBe(0);
  }
  await expect
    .poll(async () => {
      await ledger.database.pool.query('SELECT pg_stat_force_next_flush()');
      const { rows } = await ledger.database.pool.query(
        `SELECT n_tup_ins::int AS inserts, n_tup_upd::int AS updates, n_tup_del::int AS deletes FROM pg_stat_user_tables WHERE relname = 'outbox'`,
      );
      return rows[0];
    })
    .toEqual({ inserts: 1, updates: 0, deletes: 1 });
});

test('a fact that the log refuses holds up its own key only, is said aloud, and leaves once it can', async () => {
  await using ledger = await openLedger();
  await using relay = startRelay({ databaseUrl: ledger.databaseUrl, log: ledger.log, logger });
  const [bad, good] = [v7(), v7()];
  const told = (orderId: string, topic: string) =>
    ledger.database.transaction(async (em) => {
      const facts = new Facts('order');
      facts.add({ ...factOf(OrderConfirmedSchema, { orderId, revision: 1n }, undefined), topic });
      await facts.save(em);
    });
  await told(bad, 'no.such.topic');
  await told(bad, 'no.such.topic');
  await told(good, 'order.confirmed');
  relay.wake();
  await expect.poll(async () => (await confirmed(ledger)).map((event) => event.order_id)).toEqual([good]);
  await expect.poll(() => depth(ledger)).toBe(2);
  await expect.poll(() => relay.trouble).toMatch(/2 facts are stuck in the outbox: .*no\.such\.topic/);
  await ledger.log.createTopics([{ name: 'no.such.topic', retentionMs: null }]);
  await expect.poll(() => depth(ledger), { timeout: 20_000 }).toBe(0);
  await expect.poll(() => relay.trouble).toBeUndefined();
});

test('a relay that can’t append says so for as long as it can’t', async () => {
  await using ledger = await openLedger();
  let away = true;
  let appends = 0;
  const faulty: EventLog = {
    ...ledger.log,
    id: ledger.log.id,
    async producer() {
      const producer = await ledger.log.producer();
      return {
        append(records: readonly LogRecord[]) {
          appends++;
          return away ? Promise.reject(new Error('the log is away')) : producer.append(records);
        },
        [Symbol.asyncDispose]: () => producer[Symbol.asyncDispose](),
      };
    },
  };
  await tell(ledger, v7(), 1);
  await using relay = startRelay({ databaseUrl: ledger.databaseUrl, log: faulty, logger });
  const said = new Set<string | undefined>();
  await expect.poll(() => relay.trouble).toBe('the log is away');
  const from = appends;
  await expect
    .poll(
      () => {
        said.add(relay.trouble);
        return appends - from;
      },
      { interval: 1 },
    )
    .toBeGreaterThan(3);
  expect([...said]).toEqual(['the log is away']);
  away = false;
  await expect.poll(() => depth(ledger)).toBe(0);
  await expect.poll(() => relay.trouble).toBeUndefined();
});
