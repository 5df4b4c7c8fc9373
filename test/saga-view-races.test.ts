import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import {
  EventState,
  type GetTrailRequest,
  type GetTrailResponseSchema,
  InspectionService,
} from '@tradewind/contracts/messaging/v1/inspection';
import { OrderService } from '@tradewind/contracts/order/v1/order';
import { StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import type { Call } from '@tradewind/rpc/call';
import { createClient } from '@tradewind/rpc/client';
import { implement } from '@tradewind/rpc/implement';
import { serve } from '@tradewind/rpc/serve';
import { createLogger } from '@tradewind/telemetry/logger';
import { append, recordOf, recordsOf } from '@tradewind/testing/events';
import { startService } from '@tradewind/testing/service';
import { Client } from 'pg';
import { v7 } from 'uuid';
import { afterEach, expect, test } from 'vitest';
import { service as orderService } from '../services/order/service.ts';
import { shown } from './saga-view.ts';

type Trail = MessageInitShape<typeof GetTrailResponseSchema>;
type Answer = (question: GetTrailRequest, call: Call) => Promise<Trail>;

let scope: AsyncDisposableStack | undefined;
afterEach(() => scope?.disposeAsync());

/** An order service that listens to nothing, asks a stock that says what a test has it say, and takes every saga for late. */
async function startScripted(answer: Answer, env: Record<string, string> = {}) {
  await using opening = new AsyncDisposableStack();
  const stock = opening.use(
    await serve({
      name: 'stock',
      version: '0.0.0',
      host: '127.0.0.1',
      port: 0,
      implementations: [implement(InspectionService, { getTrail: answer })],
      health: { check: async () => ({ status: 'ready', dependencies: {} }) },
      limits: { drainDelayMs: 0, goawayMs: 20 },
      logger: createLogger({ service: 'test', level: 'silent' }),
    }),
  );
  const order = opening.use(
    await startService(orderService, {
      listen: false,
      env: { STOCK_URL: stock.url, STOCK_TIMEOUT: '10s', SAGA_LATE_AFTER: '1ms', ...env },
    }),
  );
  const orders = opening.use(createClient(OrderService, { baseUrl: order.url, timeoutMs: 60_000 })).call;
  const placed = await orders.createOrder({ lines: [{ productId: 1, quantity: 1, unitPrice: 100n }] });
  const id = placed.order?.id ?? '';
  await expect.poll(async () => (await recordsOf(order.log, 'order.created')).length).toBe(1);
  scope = opening.move();
  const view = async () => {
    const { saga } = await orders.getSaga({ id });
    if (!saga) throw new Error('no saga');
    return shown(saga);
  };
  return { order, orders, id, view };
}

/** Longer than any test. */
const PATIENT = { STOCK_TIMEOUT: '1m' };

const handled = ({ events }: GetTrailRequest): NonNullable<Trail['heard']> =>
  events.map(({ source, id }) => ({
    source,
    id,
    state: EventState.HANDLED,
    at: timestampFromDate(new Date()),
  }));

test('stock answers between the look at the log and the look at stock: nothing is lost', async () => {
  let scripted: Awaited<ReturnType<typeof startScripted>> | undefined;
  let told = false;
  scripted = await startScripted(async (question) => {
    if (question.events.length > 0 && scripted && !told) {
      told = true;
      await append(scripted.order.log, recordOf(StockReservedSchema, { orderId: question.key }));
    }
    return { group: 'stock', heard: handled(question) };
  });
  expect(await scripted.view()).toMatchObject({
    state: 'WAITING',
    awaits: { topic: 'stock.reserved', service: 'order', late: true },
    unknown: [],
  });
});

test('two looks that agree: it is lost; with more held than stock tells, that is not known', async () => {
  let heldIncomplete = false;
  const { view } = await startScripted(async (question) => ({
    group: 'stock',
    heard: handled(question),
    heldIncomplete,
  }));
  expect(await view()).toMatchObject({ state: 'LOST', unknown: [] });
  heldIncomplete = true;
  expect(await view()).toMatchObject({ state: 'UNKNOWN', unknown: ['stock'] });
});

test("the log's and stock's clocks are a minute behind: what they have of the order is found, and not lost", async () => {
  const { order, id, view } = await startScripted(async (question) => ({
    group: 'stock',
    heard: handled(question),
  }));
  const minuteAgo = new Date(Date.now() - 60_000).toISOString();
  const answer = (orderId: string) => {
    const { headers, ...record } = recordOf(StockReservedSchema, { orderId });
    return { ...record, headers: { ...headers, ce_time: minuteAgo } };
  };
  await append(order.log, answer(id), ...Array.from({ length: 6_000 }, () => answer(v7())));
  await using log = new AsyncDisposableStack();
  const client = new Client({ connectionString: order.logUrl });
  await client.connect();
  log.defer(() => client.end());
  await client.query(`UPDATE event_log.record SET appended_at = appended_at - interval '1 min'`);
  expect(await view()).toMatchObject({
    state: 'WAITING',
    ways: ['stock.reserved test → order: ON_TOPIC', 'order.created order → stock: HANDLED'],
  });
});

test('an order that changes during the second look is not lost', async () => {
  let scripted: Awaited<ReturnType<typeof startScripted>> | undefined;
  let looks = 0;
  scripted = await startScripted(async (question) => {
    if (question.events.length > 0 && ++looks === 2)
      await scripted?.order.database.pool.query('UPDATE orders SET revision = revision + 1');
    return { group: 'stock', heard: handled(question) };
  });
  expect(await scripted.view()).toMatchObject({ state: 'UNKNOWN', unknown: ['order'] });
});

test('a few views at a time: others are asked to come again, over REST with a time', async () => {
  const open = Promise.withResolvers<void>();
  let asking = 0;
  const { order, orders, id } = await startScripted(async (question) => {
    asking++;
    await open.promise;
    return { group: 'stock', heard: handled(question) };
  });
  const path = `${order.url}/api/v1/orders/${id}/saga`;
  const views = [orders.getSaga({ id }), orders.getSaga({ id })];
  await expect.poll(() => asking).toBe(2);
  const code = await orders.getSaga({ id }).catch((error) => ConnectError.from(error).code);
  expect(code).toBe(Code.ResourceExhausted);
  const busy = await fetch(path);
  expect({ status: busy.status, after: busy.headers.get('retry-after') }).toEqual({
    status: 429,
    after: '1',
  });
  expect(asking).toBe(2);
  open.resolve();
  await Promise.all(views);
  expect((await fetch(path)).status).toBe(200);
});

test('callers who leave take their questions along, and make room', async () => {
  let patient = false;
  let asking = 0;
  const left: Promise<void>[] = [];
  const { order, orders, id, view } = await startScripted(async (question, { signal }) => {
    asking++;
    if (patient) return { group: 'stock', heard: handled(question) };
    const gone = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    left.push(gone);
    await gone;
    throw new ConnectError('gone', Code.Canceled);
  }, PATIENT);
  const leaving = new AbortController();
  const calls = [
    orders.getSaga({ id }, { signal: leaving.signal }),
    fetch(`${order.url}/api/v1/orders/${id}/saga`, { signal: leaving.signal }),
  ].map((call) => call.catch(() => undefined));
  await expect.poll(() => asking).toBe(2);
  leaving.abort();
  await Promise.all([...calls, ...left]);
  // Neither goes on to ask for what comes next.
  patient = true;
  asking = 0;
  await view();
  expect(asking).toBe(4);
});
