import { toJsonString } from '@bufbuild/protobuf';
import { durationMs, timestampDate } from '@bufbuild/protobuf/wkt';
import { OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { SagaSchema, OrderStatus as Status } from '@tradewind/contracts/order/v1/order';
import { discardOf, redriveOf } from '@tradewind/messaging/dead-letter';
import type { ReceivedRecord } from '@tradewind/messaging/log';
import { append, deadLettersOf, recordOf, recordsOf } from '@tradewind/testing/events';
import { freePort } from '@tradewind/testing/port';
import { createDatabase } from '@tradewind/testing/postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  breakShelf,
  mendShelf,
  ownOutbox,
  restartStock,
  startViewedSaga,
  type ViewedSaga,
} from './saga-view.ts';

const LATE = { SAGA_LATE_AFTER: '1ms' };
const SOON = { RETRY_ATTEMPTS: '2' };
const HARDLY = { RETRY_BASE: '10m', RETRY_ATTEMPTS: '100' };

const placeText = ({ topic, partition, offset }: ReceivedRecord) => `${topic}/${partition}/${offset}`;
const recordFor = async ({ order }: ViewedSaga, topic: string, id: string) =>
  (await recordsOf(order.log, topic)).find(({ key }) => key === id);

/** Errors may quote statements and values: customers' faces never tell them. */
async function expectNoWords(saga: ViewedSaga, id: string) {
  const said = [toJsonString(SagaSchema, await saga.view(id))];
  for (const accept of ['application/json', 'text/plain'])
    said.push(
      await (await fetch(`${saga.order.url}/api/v1/orders/${id}/saga`, { headers: { accept } })).text(),
    );
  for (const text of said) expect(text).not.toMatch(/shelf is broken|insert/i);
}

describe('with everything there', () => {
  let saga: ViewedSaga;
  beforeAll(async () => {
    saga = await startViewedSaga();
    await saga.put(1, 100);
  });
  afterAll(() => saga?.[Symbol.asyncDispose]());

  test('a confirmed order: every event, where, when and for how long', async () => {
    const id = await saga.place([1, 2]);
    const view = await saga.viewLike(id, {
      state: 'SETTLED',
      awaits: undefined,
      ways: [
        'order.created order → stock: HANDLED',
        'stock.reserved stock → order: HANDLED',
        'order.confirmed order → nobody: TOLD',
      ],
      letters: [],
      unknown: [],
    });
    expect(view).toMatchObject({ orderId: id, orderStatus: Status.CONFIRMED, reason: '' });
    for (const step of view.steps) {
      const record = await recordFor(saga, step.topic, id);
      expect(step).toMatchObject({ place: record && placeText(record), eventId: record?.headers.ce_id });
      expect(step.writtenAt && timestampDate(step.writtenAt).toISOString()).toBe(record?.headers.ce_time);
      expect(step.appendedAt && timestampDate(step.appendedAt)).toEqual(record?.appendedAt);
      expect(step.inOutbox).toBeDefined();
    }
    const [created, reserved] = view.steps;
    for (const step of [created, reserved]) {
      expect(step?.onTopic).toBeDefined();
      expect(step?.inHandling).toBeDefined();
    }
    // Its outcome is when the fact of it was written, in the transaction of the order's row.
    expect(view.settledAt).toEqual(view.steps[2]?.writtenAt);
    const took =
      Number(view.settledAt && timestampDate(view.settledAt)) -
      Number(view.startedAt && timestampDate(view.startedAt));
    expect(view.duration && durationMs(view.duration)).toBe(took);
  });

  test('an order that stock can not fill', async () => {
    const id = await saga.place([1, 500]);
    const view = await saga.viewLike(id, {
      state: 'SETTLED',
      ways: [
        'order.created order → stock: HANDLED',
        'stock.exceeded-amount stock → order: HANDLED',
        'order.canceled order → stock: HANDLED',
      ],
    });
    expect(view.orderStatus).toBe(Status.CANCELED);
    expect(view.reason).toMatch(/^product 1: asked 500, only \d+ left$/);
  });

  test('an order that its customer cancels after it was confirmed', async () => {
    const id = await saga.place([1, 1]);
    await saga.settled(id, Status.CONFIRMED);
    await saga.cancel(id);
    const view = await saga.viewLike(id, {
      state: 'SETTLED',
      ways: [
        'order.created order → stock: HANDLED',
        'stock.reserved stock → order: HANDLED',
        'order.confirmed order → nobody: TOLD',
        'order.canceled order → stock: HANDLED',
      ],
    });
    expect(view.reason).toBe('canceled by the customer');
    // It had its outcome when it was confirmed; the cancellation came later.
    expect(view.settledAt).toEqual(view.steps[2]?.writtenAt);
  });

  test('over REST as JSON and as a drawing, in any spelling of the id', async () => {
    const id = await saga.place([1, 1]);
    await saga.viewLike(id, { state: 'SETTLED' });
    const path = `${saga.order.url}/api/v1/orders/${id}/saga`;
    const json = await (await fetch(path)).json();
    expect(json).toMatchObject({
      order_id: id,
      order_status: 'CONFIRMED',
      state: 'SETTLED',
      duration_ms: expect.any(Number),
      trace_id: expect.stringMatching(/^[0-9a-f]{32}$/),
      awaits: null,
      steps: [
        {
          topic: 'order.created',
          told_by: 'order',
          heard_by: 'stock',
          state: 'HANDLED',
          next_attempt_at: null,
        },
        { topic: 'stock.reserved', on_topic_ms: expect.any(Number), in_handling_ms: expect.any(Number) },
        { topic: 'order.confirmed', state: 'TOLD', heard_by: '', heard_at: null, on_topic_ms: null },
      ],
      dead_letters: [],
      unknowns: [],
    });
    const text = await fetch(path.replace(id, id.toUpperCase()), { headers: { accept: 'text/plain' } });
    expect(text.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    const drawing = await text.text();
    expect(drawing).toContain(`order ${id} is CONFIRMED\nsaga SETTLED`);
    expect(drawing).toMatch(
      /order\.created +order → stock +▕.{32}▏ +HANDLED +outbox \d+ ms, topic \d+ ms, handled in \d+ ms, order\.created\/\d\/\d+\n/,
    );
    const { json: documented } = { json: await (await fetch(`${saga.order.url}/docs/json`)).json() };
    const { schema } =
      documented.paths['/api/v1/orders/{id}/saga'].get.responses['200'].content['application/json'];
    // Everything is documented, and all of it is always there.
    const keys = (value: object) => Object.keys(value).toSorted();
    expect(keys(json)).toEqual(schema.required.toSorted());
    expect(keys(json.steps[0])).toEqual(schema.properties.steps.items.required.toSorted());
  });
});

describe('stock does not run', () => {
  let saga: ViewedSaga;
  beforeAll(async () => {
    saga = await startViewedSaga({ order: { env: LATE } });
    await saga.put(1, 100);
  });
  afterAll(() => saga?.[Symbol.asyncDispose]());

  test('what was settled is told from the log; what waits, waits for stock, and is late', async () => {
    const settled = await saga.place([1, 1]);
    await saga.viewLike(settled, { state: 'SETTLED' });
    await saga.stock.stop();
    const id = await saga.place([1, 1]);
    const view = await saga.viewLike(id, {
      state: 'WAITING',
      awaits: {
        topic: 'order.created',
        service: 'stock',
        late: true,
        next: expect.stringContaining('listen process'),
      },
      ways: ['order.created order → stock: ON_TOPIC'],
      unknown: ['stock'],
    });
    const record = await recordFor(saga, 'order.created', id);
    expect(view.awaits?.why).toContain(`on the log at ${record && placeText(record)}`);
    expect(view.awaits?.why).toContain("stock can't be asked");
    expect(view.awaits?.since).toEqual(view.startedAt);
    expect(view.settledAt).toBeUndefined();
    await saga.viewLike(settled, {
      state: 'SETTLED',
      ways: [
        'order.created order → stock: HANDLED',
        'stock.reserved stock → order: HANDLED',
        'order.confirmed order → nobody: TOLD',
      ],
      unknown: ['stock'],
    });
    // It is answered, and nobody waits for long.
    const response = await fetch(`${saga.order.url}/api/v1/orders/${id}/saga`);
    expect(response.status).toBe(200);
    await using _again = await restartStock(saga);
    await saga.viewLike(id, { state: 'SETTLED', unknown: [] });
  });
});

test('the log was never there: the fact is in the outbox, and that is all that is claimed', async () => {
  const nobody = `postgres://postgres@127.0.0.1:${await freePort()}/log`;
  await using saga = await startViewedSaga({ order: { env: { ...LATE, EVENT_LOG_URL: nobody } } });
  const id = await saga.place([1, 1]);
  const view = await saga.viewLike(id, {
    state: 'WAITING',
    awaits: {
      topic: 'order.created',
      service: 'order',
      late: true,
      why: expect.stringContaining("order's outbox"),
    },
    ways: ['order.created order → stock: IN_OUTBOX'],
    unknown: ['event log'],
  });
  expect(view.steps[0]).toMatchObject({
    place: '',
    writtenAt: expect.anything(),
    inOutbox: expect.anything(),
  });
  // Its fact is gone from the outbox, and where it is now only the log could tell.
  await saga.order.database.pool.query('DELETE FROM outbox');
  await saga.viewLike(id, { state: 'UNKNOWN', awaits: { late: true }, ways: [], unknown: ['event log'] });
});

test('the log goes away: what the databases know is told', async () => {
  await using log = await createDatabase('log');
  await using saga = await startViewedSaga({ order: { logUrl: log.url } });
  await saga.put(1, 10);
  const id = await saga.place([1, 1]);
  await saga.viewLike(id, { state: 'SETTLED' });
  const name = new URL(log.url).pathname.slice(1);
  const server = saga.order.database.pool;
  await server.query(`ALTER DATABASE "${name}" WITH ALLOW_CONNECTIONS false`);
  try {
    await server.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name]);
    await saga.viewLike(id, { state: 'SETTLED', ways: [], unknown: ['event log'] });
    const waiting = await saga.place([1, 1]);
    await saga.viewLike(waiting, { state: 'WAITING', ways: ['order.created order → stock: IN_OUTBOX'] });
  } finally {
    await server.query(`ALTER DATABASE "${name}" WITH ALLOW_CONNECTIONS true`);
  }
});

test('an event in retry is told with its attempts and without the words of its error, and what waits behind it as well', async () => {
  await using saga = await startViewedSaga({ stock: { env: HARDLY } });
  await breakShelf(saga.stock);
  const id = await saga.place([1, 1]);
  const view = await saga.viewLike(id, {
    state: 'RETRYING',
    awaits: { topic: 'order.created', service: 'stock', why: expect.stringContaining('it failed 1 time') },
    ways: ['order.created order → stock: RETRYING'],
    unknown: [],
  });
  const [held] = view.steps;
  expect(held).toMatchObject({ attempts: 1 });
  expect(view.awaits?.next).toContain('npm run doctor');
  await expectNoWords(saga, id);
  const next = held?.nextAttemptAt && timestampDate(held.nextAttemptAt);
  expect(Number(next)).toBeGreaterThanOrEqual(Number(held?.heardAt && timestampDate(held.heardAt)));
  const record = await recordFor(saga, 'order.created', id);
  if (!record) throw new Error('no record');
  await append(saga.order.log, { ...record, headers: { ...record.headers, ce_id: 'told again' } });
  await saga.viewLike(id, {
    state: 'RETRYING',
    ways: ['order.created order → stock: RETRYING', 'order.created order → stock: IN_LINE'],
    steps: [{}, { eventId: 'told again', ahead: 1n }],
  });
  // Without its serve process stock can't be asked; its group has read it, and more the log does not show.
  await saga.stock.stop();
  await saga.viewLike(id, {
    state: 'UNKNOWN',
    awaits: { why: expect.stringContaining('what came of it is not known') },
    ways: ['order.created order → stock: READ', 'order.created order → stock: READ'],
    unknown: ['stock'],
  });
});

test('a dead letter is named, and so is what became of it: sent back, redriven, discarded', async () => {
  await using saga = await startViewedSaga({ stock: { env: SOON } });
  await saga.put(1, 10);
  await breakShelf(saga.stock);
  const [first, second] = [await saga.place([1, 1]), await saga.place([1, 1])];
  const letterOf = async (id: string) => {
    const find = async () =>
      (await deadLettersOf(saga.order.log, OrderCreatedSchema)).find(({ key }) => key === id);
    await expect.poll(find).toBeDefined();
    const letter = await find();
    if (!letter) throw new Error('no letter');
    return letter;
  };
  const letter = await letterOf(first);
  const place = placeText(letter);
  const dead = {
    state: 'DEAD_LETTERED',
    awaits: {
      topic: 'order.created',
      service: '',
      next: expect.stringContaining(`npm run dlq -- show ${place}`),
    },
    ways: ['order.created order → stock: DEAD_LETTERED'],
    letters: [
      {
        place,
        topic: 'order.created',
        group: 'stock',
        state: 'OPEN',
        reason: 'failed',
        attempts: 2,
        eventId: letter.headers.ce_id,
      },
    ],
  };
  await saga.viewLike(first, { ...dead, unknown: [] });
  await expectNoWords(saga, first);

  await letterOf(second);
  await append(saga.order.log, discardOf(await letterOf(second), 'nobody wants it'));
  await saga.viewLike(second, {
    state: 'DEAD_LETTERED',
    awaits: { why: expect.stringContaining('discarded') },
    ways: ['order.created order → stock: DISCARDED'],
    letters: [{ state: 'DISCARDED' }],
  });

  // From the log alone, while stock is away.
  await saga.stock.stop();
  await saga.viewLike(first, { ...dead, unknown: ['stock'] });
  await append(saga.order.log, redriveOf(letter));
  await saga.viewLike(first, {
    state: 'WAITING',
    awaits: { service: 'stock', why: expect.stringContaining(`sent back from ${place}`) },
    letters: [{ state: 'SENT_BACK' }],
  });
  await mendShelf(saga.stock);
  await using _again = await restartStock(saga);
  const settled = await saga.viewLike(first, {
    state: 'SETTLED',
    awaits: undefined,
    ways: [
      'order.created order → stock: HANDLED',
      'stock.reserved stock → order: HANDLED',
      'order.confirmed order → nobody: TOLD',
    ],
    letters: [{ place, state: 'REDRIVEN' }],
  });
  // Time in retry and as a dead letter is no time on the topic.
  const [created] = settled.steps;
  const ms = ({ seconds = 0n, nanos = 0 }: { seconds?: bigint; nanos?: number } = {}) =>
    Number(seconds) * 1_000 + nanos / 1e6;
  expect(created?.firstFailedAt).toEqual(settled.deadLetters[0]?.firstFailure);
  expect(ms(created?.onTopic) + ms(created?.inRetry)).toBeCloseTo(
    ms(created?.heardAt) - ms(created?.appendedAt),
    0,
  );
  expect(ms(created?.inRetry)).toBeGreaterThan(0);
});

test('garbage under the key of an order is a dead letter of its saga, with its trace, and in nobody’s way', async () => {
  await using saga = await startViewedSaga();
  await saga.put(1, 10);
  const id = await saga.place([1, 1]);
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  const { headers, ...record } = recordOf(OrderCreatedSchema, { orderId: id });
  await append(saga.order.log, {
    ...record,
    headers: { ...headers, traceparent: `00-${traceId}-b7ad6b7169203331-01` },
  });
  const view = await saga.viewLike(id, {
    state: 'SETTLED',
    letters: [{ state: 'OPEN', reason: 'undecodable', traceId }],
  });
  // The saga's own is that of the order.created that began it.
  expect(view.traceId).toMatch(/^(?!0af76519)[0-9a-f]{32}$/);
  expect(view.steps.find(({ eventId }) => eventId === headers.ce_id)).toMatchObject({
    toldBy: 'test',
    traceId,
  });
});

test('an order that was told again has both events, and both answers', async () => {
  await using saga = await startViewedSaga({
    order: { env: { ORDER_SWEEP_AFTER: '100ms' } },
    stock: { listen: false },
  });
  await saga.put(1, 10);
  const id = await saga.place([1, 2]);
  await saga.viewLike(id, {
    state: 'WAITING',
    ways: expect.arrayContaining(Array(2).fill('order.created order → stock: ON_TOPIC')),
  });
  await using _listening = await restartStock(saga, { serve: false });
  const view = await saga.viewLike(id, {
    state: 'SETTLED',
    ways: expect.arrayContaining([
      'order.created order → stock: HANDLED',
      'stock.reserved stock → order: HANDLED',
      'order.confirmed order → nobody: TOLD',
    ]),
  });
  const told = view.steps.filter(({ topic }) => topic === 'order.created');
  expect(told.length).toBeGreaterThanOrEqual(2);
  expect(new Set(told.map(({ eventId }) => eventId)).size).toBe(told.length);
});

test('what is nowhere is lost, once it is late: the question, then the answer', async () => {
  await using database = await createDatabase('stock');
  await using owned = await ownOutbox(database.url);
  await using saga = await startViewedSaga({ order: { env: LATE }, stock: { databaseUrl: database.url } });
  await saga.put(1, 10);
  const id = await saga.place([1, 2]);
  // Stock's answer waits in its outbox, which only stock can tell.
  await saga.viewLike(id, {
    state: 'WAITING',
    awaits: { topic: 'stock.reserved', service: 'stock', why: expect.stringContaining("stock's outbox") },
    ways: ['order.created order → stock: HANDLED', 'stock.reserved stock → order: IN_OUTBOX'],
  });
  await saga.stock.database.pool.query('DELETE FROM outbox');
  await saga.viewLike(id, {
    state: 'LOST',
    awaits: {
      topic: 'stock.reserved',
      service: 'stock',
      late: true,
      next: expect.stringContaining('ORDER_SWEEP_AFTER'),
    },
    ways: ['order.created order → stock: HANDLED'],
  });
  await owned[Symbol.asyncDispose]();
});
