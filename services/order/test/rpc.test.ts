import { Code, type ConnectError } from '@connectrpc/connect';
import { OrderService, OrderStatus } from '@tradewind/contracts/order/v1/order';
import { createClient } from '@tradewind/rpc/client';
import { violationsOf } from '@tradewind/rpc/failure';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startOrder, type TestOrder } from './order-service.ts';

let order: TestOrder;
let client: ReturnType<typeof createClient<typeof OrderService>>;
beforeAll(async () => {
  order = await startOrder({ listen: false });
  client = createClient(OrderService, { baseUrl: order.url });
});
afterAll(async () => {
  await client?.close();
  await order?.[Symbol.asyncDispose]();
});

const line = { productId: 1, quantity: 2, unitPrice: 5000n };
const place = async (
  init: Parameters<typeof client.call.createOrder>[0] = { lines: [line] },
  headers = {},
) => {
  const response = await client.call.createOrder(init, { headers });
  if (!response.order) throw new Error('no order');
  return response.order;
};
const refusal = async (call: Promise<unknown>) => {
  const error = (await call.then(
    () => undefined,
    (error: unknown) => error,
  )) as ConnectError;
  expect(error?.name).toBe('ConnectError');
  return { code: error.code, fields: violationsOf(error).map(({ field }) => field) };
};

test('an order is created, got, listed and canceled by gRPC', async () => {
  const created = await place({
    lines: [line, { productId: 2, quantity: 3, totalPrice: 100n }],
    customerId: 'c-7',
  });
  expect(created).toMatchObject({
    customerId: 'c-7',
    status: OrderStatus.PENDING,
    reason: '',
    lines: [
      { productId: 1, quantity: 2, unitPrice: 5000n, totalPrice: 10_000n },
      { productId: 2, quantity: 3, totalPrice: 100n },
    ],
    totalPrice: 10_100n,
    currency: 'USD',
    revision: 1n,
  });
  expect(created.lines[1]).not.toHaveProperty('unitPrice', expect.anything());
  expect((await client.call.getOrder({ id: created.id })).order).toEqual(created);
  const { orders, nextPageToken } = await client.call.listOrders({
    customerId: 'c-7',
    status: OrderStatus.PENDING,
  });
  expect({ orders, nextPageToken }).toEqual({ orders: [created], nextPageToken: '' });
  const { order: canceled } = await client.call.cancelOrder({ id: created.id });
  expect(canceled).toMatchObject({
    status: OrderStatus.CANCELED,
    reason: 'canceled by the customer',
    revision: 2n,
  });
  expect((await client.call.cancelOrder({ id: created.id })).order).toEqual(canceled);
});

test('the same over Connect with JSON', async () => {
  const call = async (method: string, body: string) => {
    const { status, json } = await order.send('POST', `/tradewind.order.v1.OrderService/${method}`, body);
    return { status, json };
  };
  const { status, json } = await call(
    'CreateOrder',
    '{"lines":[{"productId":1,"quantity":1,"unitPrice":"7"}]}',
  );
  expect({ status, total: json.order.totalPrice }).toEqual({ status: 200, total: '7' });
  expect((await call('GetOrder', JSON.stringify({ id: json.order.id }))).json.order).toEqual(json.order);
  const refused = await call('CreateOrder', '{"lines":[{"productId":0,"quantity":1,"unitPrice":"7"}]}');
  expect(refused).toMatchObject({ status: 400, json: { code: 'invalid_argument' } });
});

test('a request is checked, and what is wrong is named', async () => {
  const { call } = client;
  const bad = { code: Code.InvalidArgument };
  expect(await refusal(call.createOrder({}))).toEqual({ ...bad, fields: ['lines'] });
  expect(await refusal(call.createOrder({ lines: [{ ...line, quantity: 0 }] }))).toEqual({
    ...bad,
    fields: ['lines[0].quantity'],
  });
  expect(await refusal(call.createOrder({ lines: [{ ...line, productId: -1 }] }))).toEqual({
    ...bad,
    fields: ['lines[0].product_id'],
  });
  expect(await refusal(call.createOrder({ lines: [{ productId: 1, quantity: 1 }] }))).toEqual({
    ...bad,
    fields: ['lines[0]'],
  });
  expect(await refusal(call.createOrder({ lines: [line], totalPrice: 1n }))).toEqual({
    ...bad,
    fields: ['total_price'],
  });
  expect(await refusal(call.createOrder({ lines: [line], totalPrice: 2n ** 60n }))).toEqual({
    ...bad,
    fields: ['total_price'],
  });
  expect(await refusal(call.createOrder({ lines: Array(1001).fill(line) }))).toEqual({
    ...bad,
    fields: ['lines'],
  });
  expect(await refusal(call.createOrder({ lines: [line], currency: 'usd' }))).toEqual({
    ...bad,
    fields: ['currency'],
  });
  expect(await refusal(call.createOrder({ lines: [line], customerId: 'c'.repeat(129) }))).toEqual({
    ...bad,
    fields: ['customer_id'],
  });
  for (const request of [
    call.createOrder({ lines: [line], customerId: '\0' }),
    call.listOrders({ customerId: '\0' }),
  ]) {
    await expect(request).rejects.toThrow('customer_id: must not contain NUL characters');
  }
  expect(await refusal(call.getOrder({ id: '7' }))).toEqual({ ...bad, fields: ['id'] });
  expect(await refusal(call.getSaga({ id: '7' }))).toEqual({ ...bad, fields: ['id'] });
  expect(await refusal(call.cancelOrder({ id: '' }))).toEqual({ ...bad, fields: ['id'] });
  expect(await refusal(call.listOrders({ pageSize: 1001 }))).toEqual({ ...bad, fields: ['page_size'] });
  expect(await refusal(call.listOrders({ pageToken: '!' }))).toEqual({ ...bad, fields: ['page_token'] });
  expect(await refusal(call.listOrders({ status: 9 as OrderStatus }))).toEqual({
    ...bad,
    fields: ['status'],
  });
  const unknown = { id: '01890a5d-ac96-774b-bcce-b302099a8057' };
  expect(await refusal(call.getOrder(unknown))).toEqual({ code: Code.NotFound, fields: [] });
  expect(await refusal(call.getSaga(unknown))).toEqual({ code: Code.NotFound, fields: [] });
  expect(await refusal(call.cancelOrder(unknown))).toEqual({ code: Code.NotFound, fields: [] });
});

test('an idempotency key means the same by gRPC and by REST', async () => {
  const headers = { 'idempotency-key': 'both faces' };
  const first = await place({ lines: [{ productId: 1, quantity: 1, totalPrice: 10_000n }] }, headers);
  const again = await order.place({ product_id: 1, total_quantity: 1, total_price: 10_000 }, headers);
  expect(again.json, again.text).toMatchObject({ id: first.id });
  expect(await refusal(place({ lines: [line] }, headers))).toEqual({ code: Code.AlreadyExists, fields: [] });
  expect(await refusal(place({ lines: [line] }, { 'idempotency-key': 'k'.repeat(256) }))).toEqual({
    code: Code.InvalidArgument,
    fields: ['Idempotency-Key'],
  });
});

test('a deadline of a millisecond ends in DEADLINE_EXCEEDED, and delays nobody', async () => {
  const late = await refusal(client.call.listOrders({ pageSize: 1000 }, { timeoutMs: 1 }));
  expect(late.code).toBe(Code.DeadlineExceeded);
  await place();
});

test('orders placed at the same time share commits, and each has its own answer', async () => {
  const placed = await Promise.all(
    Array.from({ length: 200 }, (_, n) =>
      place({ lines: [{ ...line, quantity: n + 1 }], customerId: 'together' }),
    ),
  );
  expect(placed.map(({ lines }) => lines[0]?.quantity)).toEqual(Array.from({ length: 200 }, (_, n) => n + 1));
  const { rows } = await order.database.pool.query(
    `SELECT count(*) AS orders, count(DISTINCT xmin::text) AS commits FROM orders WHERE customer_id = 'together'`,
  );
  expect(Number(rows[0].orders)).toBe(200);
  expect(Number(rows[0].commits)).toBeLessThan(100);
});
