import { randomBytes } from 'node:crypto';
import { OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { redriveOf } from '@tradewind/messaging/dead-letter';
import { heldCounts } from '@tradewind/messaging/held';
import { listen } from '@tradewind/messaging/listen';
import type { Consumer, EventLog, LogRecord } from '@tradewind/messaging/log';
import { on } from '@tradewind/messaging/subscription';
import { Client } from 'pg';
import { v7 } from 'uuid';
import { describe, expect, test } from 'vitest';
import { GROUP, handler, type Ledger, logger, openLedger, orderCreated, rejected } from './ledger.ts';

const lag = async ({ log }: Ledger) =>
  (await log.lag(GROUP, ['order.created'])).reduce((sum, partition) => sum + partition.lag, 0n);
const settled = async (ledger: Ledger, customers: readonly string[]) =>
  await expect
    .poll(async () => (await ledger.entries()).map((entry) => entry.customerId).toSorted(), {
      timeout: 10_000,
    })
    .toEqual(customers.toSorted());

test('each event takes effect once and tells its fact, and offsets follow', async () => {
  await using ledger = await openLedger();
  await using _member = ledger.start();
  const names = Array.from({ length: 500 }, (_, n) => `c${n}`);
  await ledger.append(...names.map((name) => orderCreated(name)));
  await settled(ledger, names);
  await expect.poll(() => lag(ledger)).toBe(0n);
  await expect.poll(async () => (await ledger.records('order.confirmed')).length).toBe(500);
});

test('an event delivered again, in the same batch or later, changes nothing', async () => {
  await using ledger = await openLedger();
  await using _member = ledger.start();
  const twice = orderCreated('twice');
  await ledger.append(twice, twice, orderCreated('once'));
  await settled(ledger, ['twice', 'once']);
  await ledger.append(twice, orderCreated('last'));
  await settled(ledger, ['twice', 'once', 'last']);
  await expect.poll(async () => (await ledger.records('order.confirmed')).length).toBe(3);
});

test('a group that starts again from the beginning handles nothing twice', async () => {
  await using ledger = await openLedger();
  const first = ledger.start();
  await ledger.append(orderCreated('a'), orderCreated('b'));
  await settled(ledger, ['a', 'b']);
  await first.stop();
  await ledger.log.rewind(GROUP, ['order.created']);
  expect(await lag(ledger)).toBe(2n);
  await using _second = ledger.start();
  await ledger.append(orderCreated('c'));
  await expect.poll(() => lag(ledger)).toBe(0n);
  await settled(ledger, ['a', 'b', 'c']);
});

test('a record that does not fit the contract is a dead letter at once, says why, and delays nobody', async () => {
  await using ledger = await openLedger();
  await using _member = ledger.start();
  const good = orderCreated('good');
  const bad = (value: string, headers = {}): LogRecord => ({
    ...good,
    key: v7(),
    value: Buffer.from(value),
    headers: {
      ...good.headers,
      ce_id: v7(),
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      ...headers,
    },
  });
  await ledger.append(
    bad('garbage'),
    bad('{"order_id":"not-a-uuid","lines":[]}'),
    bad('{}', { 'content-type': 'text/plain' }),
    { ...bad(''), value: null },
    good,
  );
  await settled(ledger, ['good']);
  await expect.poll(async () => (await ledger.records('order.created.dlq')).length).toBe(4);
  const letters = await ledger.records('order.created.dlq');
  expect(letters.map(({ headers }) => headers.dlq_reason)).toEqual(Array(4).fill('undecodable'));
  const invalid = letters.find(({ value }) => String(value).includes('not-a-uuid'));
  expect(invalid?.headers).toMatchObject({
    dlq_group: GROUP,
    dlq_attempts: '1',
    dlq_origin_topic: 'order.created',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  });
  expect(invalid?.headers.dlq_error).toMatch(/order_id: .*uuid.*lines/i);
  expect(invalid?.headers.dlq_origin_partition).toMatch(/^\d+$/);
  expect(invalid?.headers.dlq_origin_offset).toMatch(/^\d+$/);
  await expect.poll(() => lag(ledger)).toBe(0n);
});

test('a message without headers, from a producer that knows nothing of CloudEvents, is handled once', async () => {
  await using ledger = await openLedger();
  const bare = { ...orderCreated('bare'), headers: {} };
  const first = ledger.start();
  await ledger.append(bare);
  await settled(ledger, ['bare']);
  await first.stop();
  await ledger.log.rewind(GROUP, ['order.created']);
  await using _second = ledger.start();
  await ledger.append(orderCreated('next'));
  await settled(ledger, ['bare', 'next']);
});

test('binary protobuf, numbers for strings and unknown fields are accepted', async () => {
  await using ledger = await openLedger();
  await using _member = ledger.start();
  const orderId = v7();
  const json = {
    order_id: orderId,
    customer_id: 'json',
    lines: [{ product_id: 1, quantity: 1, total_price: 5, colour: 'red' }],
    total_price: 5,
    new: {},
  };
  await ledger.append({
    topic: 'order.created',
    key: orderId,
    value: Buffer.from(JSON.stringify(json)),
    headers: {},
  });
  await settled(ledger, ['json']);
});

test('a failing event is retried, then a dead letter; later events of its key wait for it, others flow', async () => {
  await using ledger = await openLedger();
  let broken = true;
  let tries = 0;
  const key = v7();
  const started = ledger.start(
    ({ customerId }) => {
      if (customerId !== 'bad') return;
      tries++;
      if (broken) throw new Error('the moon is wrong');
    },
    // Retried for as long as the test wants.
    { retry: { attempts: 1_000_000, baseMs: 1, capMs: 5 } },
  );
  const many = Array.from({ length: 50 }, (_, n) => `other-${n}`);
  const bad = orderCreated('bad', { orderId: key });
  await ledger.append(
    ...many.slice(0, 25).map((name) => orderCreated(name)),
    bad,
    orderCreated('follower', { orderId: key }),
    ...many.slice(25).map((name) => orderCreated(name)),
  );
  // Others flow, also those that come later; the follower waits.
  await settled(ledger, many);
  await ledger.append(orderCreated('later'), orderCreated('second follower', { orderId: key }));
  await settled(ledger, [...many, 'later']);
  await expect.poll(() => tries).toBeGreaterThan(5);
  // Nothing waits in the log for it: it and its followers are rows.
  await expect.poll(() => lag(ledger)).toBe(0n);
  expect(await heldCounts(ledger.database.pool, GROUP)).toMatchObject({ lines: 1, events: 3 });
  broken = false;
  await settled(ledger, [...many, 'later', 'bad', 'follower', 'second follower']);
  const order = (await ledger.entries()).map(({ customerId }) => customerId);
  expect(order.slice(-3)).toEqual(['bad', 'follower', 'second follower']);
  await expect.poll(() => lag(ledger)).toBe(0n);
  expect(await ledger.records('order.created.dlq')).toEqual([]);
  await started.stop();
});

test('after the last attempt the event is a dead letter that says how often and why, and its followers go on', async () => {
  await using ledger = await openLedger();
  let tries = 0;
  await using _member = ledger.start(
    ({ customerId }) => {
      if (customerId !== 'bad') return;
      tries++;
      throw new Error('the moon is wrong');
    },
    { retry: { attempts: 3, baseMs: 1, capMs: 5 } },
  );
  const key = v7();
  await ledger.append(
    orderCreated('bad', { orderId: key }),
    orderCreated('follower', { orderId: key }),
    orderCreated('other'),
  );
  await settled(ledger, ['follower', 'other']);
  const [letter, ...more] = await ledger.records('order.created.dlq');
  expect(more).toEqual([]);
  expect(letter?.headers).toMatchObject({
    dlq_reason: 'failed',
    dlq_error: 'the moon is wrong',
    dlq_attempts: '3',
  });
  // The attempt of its whole batch is nobody's own.
  expect(tries).toBeGreaterThanOrEqual(3);
  expect(tries).toBeLessThanOrEqual(4);
  await expect.poll(() => lag(ledger)).toBe(0n);
});

test('a handler’s verdict that trying again can’t help is a dead letter at once', async () => {
  await using ledger = await openLedger();
  let tries = 0;
  await using _member = ledger.start(({ customerId }) => {
    if (customerId !== 'never') return;
    tries++;
    throw rejected('an order of the future');
  });
  await ledger.append(orderCreated('never'), orderCreated('fine'));
  await settled(ledger, ['fine']);
  await expect
    .poll(async () => (await ledger.records('order.created.dlq'))[0]?.headers)
    .toMatchObject({
      dlq_reason: 'rejected',
      dlq_error: expect.stringContaining('an order of the future'),
      dlq_attempts: '1',
    });
  expect(tries).toBe(2);
});

test('an event that fails now and then gets through, once', async () => {
  await using ledger = await openLedger();
  let calls = 0;
  await using _member = ledger.start(
    () => {
      if (++calls % 3 === 0) throw new Error('every third time');
    },
    { retry: { attempts: 50, baseMs: 1, capMs: 2 } },
  );
  const names = Array.from({ length: 40 }, (_, n) => `n${n}`);
  await ledger.append(...names.map((name) => orderCreated(name)));
  await settled(ledger, names);
  expect(await ledger.records('order.created.dlq')).toEqual([]);
});

test('a dead letter is redriven to the group that gave up on it, and doing it twice changes nothing', async () => {
  await using ledger = await openLedger();
  let broken = true;
  await using _member = ledger.start(({ customerId }) => {
    if (broken && customerId === 'patient') throw rejected('not yet');
  });
  await ledger.append(orderCreated('patient'), orderCreated('healthy'));
  await expect.poll(async () => (await ledger.records('order.created.dlq')).length).toBe(1);
  const [letter] = await ledger.records('order.created.dlq');
  if (!letter) throw new Error('no letter');

  await ledger.append(redriveOf(letter));
  await expect.poll(async () => (await ledger.records('order.created.dlq')).length).toBe(2);

  broken = false;
  await ledger.append(redriveOf(letter), redriveOf(letter));
  await ledger.append(redriveOf(letter));
  await settled(ledger, ['healthy', 'patient']);
  await ledger.append(orderCreated('after'));
  await settled(ledger, ['healthy', 'patient', 'after']);
  const [healthy] = (await ledger.records('order.created')).filter(({ value }) =>
    String(value).includes('healthy'),
  );
  if (!healthy) throw new Error('no record');
  // A record that was handled does not run again, whatever somebody puts on the redrive topic.
  await ledger.append(
    { ...redriveOf({ ...healthy, headers: { ...letter.headers, ...healthy.headers } }) },
    orderCreated('end'),
  );
  await settled(ledger, ['healthy', 'patient', 'after', 'end']);
});

test('a database that is away is waited for: no dead letter, no lost event, no attempt counted', async () => {
  await using ledger = await openLedger();
  await using _member = ledger.start();
  await ledger.append(orderCreated('before'));
  await settled(ledger, ['before']);
  const { pool } = ledger.database;
  const name = ledger.databaseUrl.split('/').at(-1);
  const admin = new Client({ connectionString: process.env.TEST_POSTGRES_URL });
  await admin.connect();
  try {
    await admin.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
    await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name]);
    await ledger.append(...['x', 'y', 'z'].map((customer) => orderCreated(customer)));
    await expect
      .poll(async () =>
        pool.query('SELECT 1').then(
          () => 'there',
          () => 'away',
        ),
      )
      .toBe('away');
    await expect.poll(() => lag(ledger)).toBe(3n);
  } finally {
    await admin.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS true`);
    await admin.end();
  }
  await settled(ledger, ['before', 'x', 'y', 'z']);
  // The relay lost its connection, too, and may have sent the same fact again.
  const told = async () =>
    new Set((await ledger.records('order.confirmed')).map(({ headers }) => headers.ce_id)).size;
  await expect.poll(told).toBe(4);
  expect(await ledger.records('order.created.dlq')).toEqual([]);
});

test('events of one key are handled in the order of the log, also over a change of members', async () => {
  await using ledger = await openLedger();
  const keys = Array.from({ length: 5 }, () => v7());
  const events = Array.from({ length: 200 }, (_, n) => orderCreated(String(n), { orderId: keys[n % 5]! }));
  const first = ledger.start();
  await ledger.append(...events.slice(0, 80));
  const second = ledger.start();
  await ledger.append(...events.slice(80, 140));
  await first.stop();
  await ledger.append(...events.slice(140));
  await settled(
    ledger,
    events.map((_, n) => String(n)),
  );
  await second.stop();
  const entries = await ledger.entries();
  for (const key of keys) {
    const seen = entries.filter(({ orderId }) => orderId === key).map(({ customerId }) => Number(customerId));
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  }
});

describe('records that nobody could store as they are become dead letters all the same', () => {
  const cases: [string, (record: LogRecord) => LogRecord][] = [
    ['no id of its own', (record) => ({ ...record, headers: {} })],
    ['an id that is no UUID', (record) => ({ ...record, headers: { ...record.headers, ce_id: 'order-7' } })],
    [
      'an id of 10 kB',
      (record) => ({ ...record, headers: { ...record.headers, ce_id: randomBytes(5_000).toString('hex') } }),
    ],
    [
      'NUL in its id and headers',
      (record) => ({
        ...record,
        headers: { ...record.headers, ce_id: 'a\0b', 'x\0y': '\0', traceparent: '\0', tracestate: '\0' },
      }),
    ],
    ['NUL in its value', (record) => ({ ...record, value: Buffer.from('{"order_id":"\0"}') })],
    [
      'half a surrogate pair where its error is cut',
      (record) => ({ ...record, value: Buffer.from(`{"order_id":"${'😀'.repeat(3_000)}"}`) }),
    ],
    ['a key of 10 kB', (record) => ({ ...record, key: randomBytes(5_000).toString('hex') })],
  ];
  test.each(cases)('%s', async (_, change) => {
    await using ledger = await openLedger();
    await using _member = ledger.start();
    const garbage = { ...orderCreated('garbage'), value: Buffer.from('garbage') };
    await ledger.append(change(garbage), orderCreated('next'));
    await settled(ledger, ['next']);
    await expect.poll(async () => (await ledger.records('order.created.dlq')).length).toBe(1);
    const [letter] = await ledger.records('order.created.dlq');
    expect(letter?.headers.dlq_reason).toBe('undecodable');
    await expect.poll(() => lag(ledger)).toBe(0n);
  });
});

test('what was never a dead letter does not run from the redrive topic, and stops nothing', async () => {
  await using ledger = await openLedger();
  await using _member = ledger.start();
  const stray = { ...orderCreated('stray'), topic: `${GROUP}.redrive` };
  const elsewhere = { ...stray.headers, ce_id: v7(), dlq_group: GROUP, dlq_origin_topic: 'nobody.hears' };
  await ledger.append(stray, { ...stray, headers: elsewhere }, orderCreated('next'));
  await settled(ledger, ['next']);
  await expect.poll(async () => (await ledger.records(`${GROUP}.redrive.dlq`)).length).toBe(2);
  await expect.poll(async () => (await ledger.records('order.confirmed')).length).toBe(1);
});

test('a held event is nobody’s partition: it is tried again and settled while the group has lost its leases', async () => {
  await using ledger = await openLedger();
  let broken = true;
  let tries = 0;
  await using _member = ledger.start(
    ({ customerId }) => {
      if (customerId !== 'held') return;
      tries++;
      if (broken) throw new Error('not yet');
    },
    { retry: { attempts: 1_000_000, baseMs: 5, capMs: 20 } },
  );
  await ledger.append(orderCreated('held'), orderCreated('other'));
  await settled(ledger, ['other']);
  await expect.poll(() => tries).toBeGreaterThan(2);
  // Nobody of the group can give a sign of life while this lock is held.
  const client = new Client({ connectionString: ledger.logUrl });
  await client.connect();
  try {
    await client.query('SELECT pg_advisory_lock(7420102, hashtext($1))', [GROUP]);
    await expect
      .poll(async () => {
        const { rows } = await client.query(
          'SELECT FROM event_log.member WHERE expires_at > clock_timestamp()',
        );
        return rows.length;
      })
      .toBe(0);
    broken = false;
    await settled(ledger, ['other', 'held']);
  } finally {
    await client.end();
  }
  await expect.poll(() => lag(ledger)).toBe(0n);
});

test('a database that turns read-only for a while costs no event and no order', async () => {
  await using ledger = await openLedger();
  await using _member = ledger.start();
  await ledger.append(orderCreated('before'));
  await settled(ledger, ['before']);
  const name = ledger.databaseUrl.split('/').at(-1);
  const admin = new Client({ connectionString: process.env.TEST_POSTGRES_URL });
  await admin.connect();
  const turn = async (mode: 'on' | 'off') => {
    await admin.query(`ALTER DATABASE ${name} SET default_transaction_read_only = ${mode}`);
    await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name]);
  };
  const key = v7();
  try {
    await turn('on');
    await ledger.append(orderCreated('first', { orderId: key }), orderCreated('second', { orderId: key }));
    await expect
      .poll(() =>
        ledger.database.probe().then(
          () => 'writable',
          (error: Error) => error.message,
        ),
      )
      .toMatch(/read-only/);
    await expect.poll(() => lag(ledger)).toBe(2n);
  } finally {
    await turn('off');
    await admin.end();
  }
  await settled(ledger, ['before', 'first', 'second']);
  expect((await ledger.entries()).map(({ customerId }) => customerId)).toEqual(['before', 'first', 'second']);
  expect(await ledger.records('order.created.dlq')).toEqual([]);
});

test('a consumer that fails for good ends the listening at once, also while an event is in retry', async () => {
  await using ledger = await openLedger();
  let failing = false;
  let tries = 0;
  const log: EventLog = {
    ...ledger.log,
    id: ledger.log.id,
    async consumer(options) {
      const consumer = await ledger.log.consumer(options);
      return Object.assign(Object.create(consumer) as Consumer, {
        async receive(signal: AbortSignal) {
          const stop = new AbortController();
          const timer = setInterval(() => failing && stop.abort(), 5);
          const records = await consumer.receive(AbortSignal.any([signal, stop.signal]));
          clearInterval(timer);
          if (stop.signal.aborted) throw new Error('the consumer is broken');
          return records;
        },
        owns: consumer.owns.bind(consumer),
        commit: consumer.commit.bind(consumer),
        [Symbol.asyncDispose]: () => consumer[Symbol.asyncDispose](),
      });
    },
  };
  const ended = listen({
    group: GROUP,
    log,
    database: ledger.database,
    subscriptions: [
      on(
        OrderCreatedSchema,
        handler(() => {
          tries++;
          throw new Error('never');
        }),
      ),
    ],
    logger,
    signal: new AbortController().signal,
    retry: { attempts: 1_000_000, baseMs: 1, capMs: 5 },
  });
  ended.catch(() => undefined);
  await ledger.append(orderCreated('held'));
  await expect.poll(() => tries).toBeGreaterThan(3);
  failing = true;
  await expect(ended).rejects.toThrow('the consumer is broken');
  await using _member = ledger.start();
  await settled(ledger, ['held']);
});

test('a commit that failed is made up for, also when no record comes any more', async () => {
  await using ledger = await openLedger();
  let refusals = 2;
  const consumer = async (options: Parameters<EventLog['consumer']>[0]): Promise<Consumer> => {
    const real = await ledger.log.consumer(options);
    const commit: Consumer['commit'] = async (positions) => {
      if (refusals-- > 0) throw new Error('the log is away for the moment');
      return await real.commit(positions);
    };
    return new Proxy(real, {
      get: (target, name) => {
        if (name === 'commit') return commit;
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  };
  const log: EventLog = new Proxy(ledger.log, {
    get: (target, name) => {
      if (name === 'consumer') return consumer;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  await using _member = ledger.start(undefined, { log });
  await ledger.append(orderCreated('a'));
  await settled(ledger, ['a']);
  await expect.poll(() => lag(ledger)).toBe(0n);
  expect(refusals).toBeLessThan(0);
});
