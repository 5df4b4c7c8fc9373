import {
  OrderCanceledSchema,
  OrderConfirmedSchema,
  OrderCreatedSchema,
} from '@tradewind/contracts/order/v1/events';
import { StockExceededAmountSchema, StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import { append, behind, deadLettersOf, eventsOf, recordOf, recordsOf } from '@tradewind/testing/events';
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startOrder, type TestOrder } from './order-service.ts';

let order: TestOrder;
beforeAll(async () => {
  order = await startOrder();
});
afterAll(() => order?.[Symbol.asyncDispose]());

const body = { product_id: 1, total_price: 10000, total_quantity: 2 };
const place = async (): Promise<string> => (await order.place({ ...body, customer_id: 'c-7' })).json.id;
const cancel = (id: string) => order.send('POST', `/api/v1/orders/${id}/cancel`);
const reserved = (orderId: string, id?: string) =>
  recordOf(StockReservedSchema, { orderId, lines: [{ productId: 1, quantity: 2n }], revision: 1n }, id);
const exceeded = (orderId: string, shortages: object[], id?: string) =>
  recordOf(StockExceededAmountSchema, { orderId, shortages, revision: 1n }, id);
const short = { productId: 1, requested: 12n, available: 3n, unknownProduct: false };
/** Waits until everything on the log so far was handled. */
const settled = () =>
  expect
    .poll(() => behind(order.log, 'order', StockReservedSchema, StockExceededAmountSchema), {
      timeout: 10_000,
    })
    .toBe(0);
const told = async (id: string) => {
  const of = <Event extends { orderId: string }>(events: Event[]) =>
    events.filter(({ orderId }) => orderId === id);
  return {
    confirmed: of(await eventsOf(order.log, OrderConfirmedSchema)),
    canceled: of(await eventsOf(order.log, OrderCanceledSchema)),
  };
};

test('order.created says all of it, byte for byte', async () => {
  const id = await place();
  const find = async () => (await recordsOf(order.log, 'order.created')).find(({ key }) => key === id);
  await expect.poll(find).toBeDefined();
  const record = await find();
  expect(JSON.parse(String(record?.value))).toEqual({
    order_id: id,
    customer_id: 'c-7',
    lines: [{ product_id: 1, quantity: 2, unit_price: '5000', total_price: '10000' }],
    total_price: '10000',
    currency: 'USD',
    revision: '1',
  });
  expect(record?.headers).toMatchObject({
    ce_source: 'order',
    ce_type: OrderCreatedSchema.typeName,
    ce_subject: id,
  });
});

describe('stock.reserved', () => {
  test('confirms a pending order and tells it', async () => {
    const id = await place();
    await append(order.log, reserved(id));
    await expect.poll(() => order.row(id)).toMatchObject({ status: 'CONFIRMED', reason: '', revision: '2' });
    await expect
      .poll(() => told(id))
      .toMatchObject({ confirmed: [{ orderId: id, revision: 2n }], canceled: [] });
  });

  test('delivered again, or told again, changes and tells nothing', async () => {
    const [id, event] = [await place(), v7()];
    await append(order.log, reserved(id, event), reserved(id, event));
    await append(order.log, reserved(id, event), reserved(id), reserved(id.toUpperCase()));
    await settled();
    expect(await order.row(id)).toMatchObject({ status: 'CONFIRMED', revision: '2' });
    await expect.poll(() => told(id)).toMatchObject({ confirmed: [{}], canceled: [] });
  });

  test('of an order that was canceled meanwhile leaves it so, and tells nothing more', async () => {
    const id = await place();
    await cancel(id);
    await append(order.log, reserved(id));
    await settled();
    expect(await order.row(id)).toMatchObject({
      status: 'CANCELED',
      reason: 'canceled by the customer',
      revision: '2',
    });
    await expect.poll(() => told(id)).toMatchObject({ confirmed: [], canceled: [{ revision: 2n }] });
  });

  test('of an order that nobody knows is answered with order.canceled', async () => {
    const id = v7();
    await append(order.log, reserved(id));
    await expect
      .poll(() => told(id))
      .toMatchObject({
        confirmed: [],
        canceled: [{ orderId: id, reason: 'unknown order', revision: 0n }],
      });
  });

  test('that does not fit its contract is a dead letter, and holds nobody up', async () => {
    const id = await place();
    const bad = { ...reserved(id), value: Buffer.from('{"order_id":"nobody"}') };
    await append(order.log, bad, reserved(id));
    await expect.poll(() => order.row(id)).toMatchObject({ status: 'CONFIRMED' });
    await expect
      .poll(() => deadLettersOf(order.log, StockReservedSchema))
      .toMatchObject([
        { key: id, headers: { dlq_reason: 'undecodable', dlq_group: 'order', ce_id: bad.headers.ce_id } },
      ]);
  });
});

describe('stock.exceeded-amount', () => {
  test('cancels a pending order with what was asked and left, and tells it', async () => {
    const id = await place();
    await append(order.log, exceeded(id, [short]));
    await expect.poll(() => order.row(id)).toMatchObject({ status: 'CANCELED', revision: '2' });
    const reason = 'product 1: asked 12, only 3 left';
    expect((await order.get(`/api/v1/orders/${id}`)).json).toMatchObject({ is_canceled: true, reason });
    await expect
      .poll(() => told(id))
      .toMatchObject({ confirmed: [], canceled: [{ orderId: id, reason, revision: 2n }] });
  });

  test('names unknown products, several shortages, and not too many', async () => {
    const [few, many] = [await place(), await place()];
    const unknown = { productId: 7, requested: 1n, unknownProduct: true };
    await append(
      order.log,
      exceeded(few, [short, unknown]),
      exceeded(
        many,
        Array.from({ length: 100 }, (_, n) => ({ ...short, productId: n + 1 })),
      ),
    );
    await settled();
    expect((await order.row(few)).reason).toBe('product 1: asked 12, only 3 left; unknown product 7');
    expect((await order.row(many)).reason).toMatch(/; product 5: asked 12, only 3 left; and 95 more$/);
  });

  test('delivered again, or told again, changes and tells nothing', async () => {
    const [id, event] = [await place(), v7()];
    await append(order.log, exceeded(id, [short], event), exceeded(id, [short], event));
    await append(order.log, exceeded(id, [short], event), exceeded(id, [{ ...short, available: 0n }]));
    await settled();
    expect(await order.row(id)).toMatchObject({ reason: 'product 1: asked 12, only 3 left', revision: '2' });
    await expect.poll(() => told(id)).toMatchObject({ canceled: [{}] });
  });

  test.each(['canceled', 'confirmed'])('of an order that is %s changes nothing', async (state) => {
    const id = await place();
    if (state === 'canceled') await cancel(id);
    else await append(order.log, reserved(id));
    await settled();
    const before = await order.row(id);
    await append(order.log, exceeded(id, [short]), exceeded(v7(), [short]));
    await settled();
    expect(await order.row(id)).toEqual(before);
  });

  test('that does not fit its contract is a dead letter, and holds nobody up', async () => {
    const id = await place();
    const bad = exceeded(id, []);
    await append(order.log, bad, exceeded(id, [short]));
    await expect.poll(() => order.row(id)).toMatchObject({ status: 'CANCELED' });
    await expect
      .poll(() => deadLettersOf(order.log, StockExceededAmountSchema))
      .toMatchObject([{ key: id, headers: { dlq_reason: 'undecodable', ce_id: bad.headers.ce_id } }]);
  });
});

test('a cancel by the customer is told once, however often it is asked for', async () => {
  const id = await place();
  await Promise.all(Array.from({ length: 10 }, () => cancel(id)));
  await expect
    .poll(() => told(id))
    .toMatchObject({
      canceled: [{ orderId: id, reason: 'canceled by the customer', revision: 2n }],
    });
});

test('of one repeated key only one order is told', async () => {
  const headers = { 'idempotency-key': 'told once' };
  const answers = await Promise.all(Array.from({ length: 20 }, () => order.place(body, headers)));
  const [id] = new Set(answers.map(({ json }) => json.id));
  const last = await place();
  const created = async () => (await eventsOf(order.log, OrderCreatedSchema)).map(({ orderId }) => orderId);
  await expect.poll(created).toContain(last);
  expect((await created()).filter((orderId) => orderId === id)).toHaveLength(1);
  expect(answers.every(({ json }) => json.id === id)).toBe(true);
});
