import {
  OrderCanceledSchema,
  OrderConfirmedSchema,
  OrderCreatedSchema,
} from '@tradewind/contracts/order/v1/events';
import { OrderService, type OrderStatus, OrderStatus as Status } from '@tradewind/contracts/order/v1/order';
import { ProductService } from '@tradewind/contracts/product/v1/product';
import { StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import { StockService } from '@tradewind/contracts/stock/v1/stock';
import { createClient } from '@tradewind/rpc/client';
import { append, behind, eventsOf, recordOf, recordsOf } from '@tradewind/testing/events';
import { startService } from '@tradewind/testing/service';
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { service as orderService } from '../services/order/service.ts';
import { service as productService } from '../services/product/service.ts';
import { service as stockService } from '../services/stock/service.ts';

const heard = {
  stock: [OrderCreatedSchema, OrderCanceledSchema],
  order: stockService.tells,
};

/** Order and stock on one log, as they are in production but for the processes. */
async function startSaga() {
  await using scope = new AsyncDisposableStack();
  const order = scope.use(await startService(orderService));
  const stock = scope.use(await startService(stockService, { logUrl: order.logUrl }));
  const orders = scope.use(createClient(OrderService, { baseUrl: order.url })).call;
  const stocks = scope.use(createClient(StockService, { baseUrl: stock.url })).call;
  const kept = scope.move();
  const place = async (...lines: readonly (readonly [productId: number, quantity: number])[]) => {
    const given = lines.map(([productId, quantity]) => ({ productId, quantity, unitPrice: 100n }));
    const { order: placed } = await orders.createOrder({ lines: given });
    if (!placed) throw new Error('no order');
    return placed.id;
  };
  const show = async (id: string) => {
    const { order: found } = await orders.getOrder({ id });
    if (!found) throw new Error('no order');
    return found;
  };
  return {
    order,
    stock,
    orders,
    stocks,
    place,
    show,
    put: (productId: number, quantity: number) => stocks.setStock({ productId, quantity: BigInt(quantity) }),
    left: async (productId: number) => Number((await stocks.getStock({ productId })).stock?.quantity),
    cancel: (id: string) => orders.cancelOrder({ id }),
    /** Waits until an order is not PENDING any more. */
    async settled(id: string, status: OrderStatus) {
      await expect.poll(async () => (await show(id)).status, { timeout: 10_000 }).toBe(status);
      return await show(id);
    },
    /** Waits until nothing is on its way any more. */
    async atRest() {
      const onTheWay = async () => [
        await behind(order.log, 'stock', ...heard.stock),
        await behind(order.log, 'order', ...heard.order),
        ...(await Promise.all(
          [order, stock].map(async ({ database }) =>
            Number((await database.pool.query('SELECT count(*) FROM outbox')).rows[0].count),
          ),
        )),
      ];
      // Twice, for a fact may be between an outbox and the log while the first look is taken.
      const twice = async () => [await onTheWay(), await onTheWay()];
      const rest = [0, 0, 0, 0];
      await expect.poll(twice, { timeout: 20_000 }).toEqual([rest, rest]);
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

let saga: Awaited<ReturnType<typeof startSaga>>;
beforeAll(async () => {
  saga = await startSaga();
});
afterAll(() => saga?.[Symbol.asyncDispose]());

// Far from the ids that the catalogue gives.
let next = 1_000;
const fresh = () => next++;

describe('an order', () => {
  test('that stock can fill is confirmed, and stock is less', async () => {
    const [a, b] = [fresh(), fresh()];
    await saga.put(a, 10);
    await saga.put(b, 1);
    const id = await saga.place([a, 2], [b, 1], [a, 3]);
    expect(await saga.settled(id, Status.CONFIRMED)).toMatchObject({ reason: '', revision: 2n });
    expect([await saga.left(a), await saga.left(b)]).toEqual([5, 0]);
    const confirmed = async () =>
      (await eventsOf(saga.order.log, OrderConfirmedSchema)).filter(({ orderId }) => orderId === id);
    await expect.poll(confirmed).toMatchObject([{ revision: 2n }]);
  });

  test('for more than there is is canceled, with what was asked and left', async () => {
    const a = fresh();
    await saga.put(a, 3);
    const id = await saga.place([a, 12]);
    const { reason } = await saga.settled(id, Status.CANCELED);
    expect(reason).toBe(`product ${a}: asked 12, only 3 left`);
    expect(await saga.left(a)).toBe(3);
    const rest = await fetch(`${saga.order.url}/api/v1/orders/${id}`);
    expect(await rest.json()).toMatchObject({ status: 'CANCELED', is_canceled: true, reason });
  });

  test('for a product that nobody knows is accepted, then canceled', async () => {
    const unknown = fresh();
    const { reason } = await saga.settled(await saga.place([unknown, 1]), Status.CANCELED);
    expect(reason).toBe(`unknown product ${unknown}`);
  });

  test('that was confirmed and is canceled gives its goods back, once', async () => {
    const a = fresh();
    await saga.put(a, 5);
    const id = await saga.place([a, 4]);
    await saga.settled(id, Status.CONFIRMED);
    expect(await saga.left(a)).toBe(1);
    await Promise.all([saga.cancel(id), saga.cancel(id), saga.cancel(id)]);
    await expect.poll(() => saga.left(a)).toBe(5);
    await saga.atRest();
    expect(await saga.left(a)).toBe(5);
    expect(await saga.show(id)).toMatchObject({
      status: Status.CANCELED,
      reason: 'canceled by the customer',
      revision: 3n,
    });
  });

  test('that is canceled at once holds nothing in the end, whatever was faster', async () => {
    const a = fresh();
    await saga.put(a, 100);
    const ids = await Promise.all(Array.from({ length: 20 }, () => saga.place([a, 5])));
    await Promise.all(ids.map(saga.cancel));
    await saga.atRest();
    expect(await saga.left(a)).toBe(100);
    for (const id of ids) expect((await saga.show(id)).status).toBe(Status.CANCELED);
  });

  test('whose cancel is consumed before its creation takes nothing', async () => {
    const a = fresh();
    await saga.put(a, 5);
    const orderId = v7();
    await append(saga.order.log, recordOf(OrderCanceledSchema, { orderId, reason: 'early', revision: 2n }));
    await saga.atRest();
    await append(
      saga.order.log,
      recordOf(OrderCreatedSchema, { orderId, lines: [{ productId: a, quantity: 5 }], revision: 1n }),
    );
    await saga.atRest();
    expect(await saga.left(a)).toBe(5);
  });

  test('that the order service does not know gets its goods put back', async () => {
    const a = fresh();
    await saga.put(a, 5);
    const orderId = v7();
    await append(
      saga.order.log,
      recordOf(OrderCreatedSchema, { orderId, lines: [{ productId: a, quantity: 5 }], revision: 1n }),
    );
    const canceled = async () =>
      (await eventsOf(saga.order.log, OrderCanceledSchema)).filter((event) => event.orderId === orderId);
    await expect.poll(canceled).toMatchObject([{ reason: 'unknown order', revision: 0n }]);
    await saga.atRest();
    expect(await saga.left(a)).toBe(5);
  });
});

test('every record delivered once more changes nothing', async () => {
  const a = fresh();
  await saga.put(a, 10);
  const ids = await Promise.all([saga.place([a, 3]), saga.place([a, 4]), saga.place([a, 20])]);
  await saga.atRest();
  await saga.cancel(ids[0] ?? '');
  await saga.atRest();
  const before = [await saga.left(a), ...(await Promise.all(ids.map(saga.show)))];
  const topics = ['order.created', 'order.canceled', 'stock.reserved', 'stock.exceeded-amount'];
  const records = (await Promise.all(topics.map((topic) => recordsOf(saga.order.log, topic)))).flat();
  await append(saga.order.log, ...records.toReversed());
  // And told anew, as a sweeper does: the same facts under other ids.
  await append(
    saga.order.log,
    ...records.map((record) => ({ ...record, headers: { ...record.headers, ce_id: v7() } })),
  );
  await saga.atRest();
  expect([await saga.left(a), ...(await Promise.all(ids.map(saga.show)))]).toEqual(before);
});

test('three orders placed while stock is stopped settle when it comes back', async () => {
  await using order = await startService(orderService);
  await using stock = await startService(stockService, { logUrl: order.logUrl });
  await using stocks = createClient(StockService, { baseUrl: stock.url });
  await stocks.call.setStock({ productId: 1, quantity: 5n });
  await stock.stop();
  await using orders = createClient(OrderService, { baseUrl: order.url });
  const place = async (quantity: number) => {
    const { order: placed } = await orders.call.createOrder({
      lines: [{ productId: 1, quantity, unitPrice: 1n }],
    });
    return placed?.id ?? '';
  };
  const ids = [await place(2), await place(9), await place(3)];
  const statuses = () =>
    Promise.all(ids.map(async (id) => (await orders.call.getOrder({ id })).order?.status));
  expect(await statuses()).toEqual([Status.PENDING, Status.PENDING, Status.PENDING]);
  await using back = await startService(stockService, {
    logUrl: order.logUrl,
    databaseUrl: stock.databaseUrl,
  });
  // Orders of one product need not be filled in the order in which they were placed, but each has its answer.
  await expect
    .poll(statuses, { timeout: 10_000 })
    .toEqual([Status.CONFIRMED, Status.CANCELED, Status.CONFIRMED]);
  await using again = createClient(StockService, { baseUrl: back.url });
  expect((await again.call.getStock({ productId: 1 })).stock).toMatchObject({ quantity: 0n, putIn: 5n });
});

test('a product of the catalogue can be ordered, and not any more once it is deleted', async () => {
  await using product = await startService(productService, {
    logUrl: saga.order.logUrl,
    env: { STOCK_URL: saga.stock.url },
  });
  await using catalogue = createClient(ProductService, { baseUrl: product.url });
  const { product: desk } = await catalogue.call.createProduct({
    name: 'Oak desk',
    price: 24_900n,
    category: 'furniture',
  });
  const productId = desk?.id ?? 0;
  await expect.poll(() => saga.left(productId).catch(() => undefined), { timeout: 10_000 }).toBe(0);
  await saga.put(productId, 2);
  await saga.settled(await saga.place([productId, 1]), Status.CONFIRMED);
  await catalogue.call.deleteProduct({ id: productId });
  const gone = async () => await saga.left(productId).catch(() => 'unknown');
  await expect.poll(gone, { timeout: 10_000 }).toBe('unknown');
  const { reason } = await saga.settled(await saga.place([productId, 1]), Status.CANCELED);
  expect(reason).toBe(`unknown product ${productId}`);
});

describe('at rest', () => {
  test('after a random mix, put in = left + what orders hold that are not canceled', async () => {
    const products = Array.from({ length: 5 }, fresh);
    const seed = Number(process.env.SAGA_SEED ?? Date.now() % 1_000_000);
    const random = mulberry32(seed);
    const pick = (below: number) => Math.floor(random() * below);
    await Promise.all(products.map((productId) => saga.put(productId, 60)));
    const placed: string[] = [];
    const act = async () => {
      const dice = pick(10);
      const productId = products[pick(products.length)] ?? 0;
      if (dice < 6)
        placed.push(
          await saga.place([productId, 1 + pick(8)], [products[pick(products.length)] ?? 0, 1 + pick(4)]),
        );
      else if (dice < 9 && placed.length > 0) await saga.cancel(placed[pick(placed.length)] ?? '');
      else await saga.stocks.adjustStock({ productId, delta: BigInt(1 + pick(5)) });
    };
    for (let round = 0; round < 25; round++) await Promise.all(Array.from({ length: 8 }, act));
    await saga.atRest();
    const held = new Map<number, number>();
    const seen = { [Status.PENDING]: 0, [Status.CONFIRMED]: 0, [Status.CANCELED]: 0 } as Record<
      OrderStatus,
      number
    >;
    for (const { status, lines } of await Promise.all(placed.map(saga.show))) {
      seen[status] += 1;
      if (status === Status.CANCELED) continue;
      for (const { productId, quantity } of lines) held.set(productId, (held.get(productId) ?? 0) + quantity);
    }
    const { stocks } = await saga.stocks.batchGetStock({ productIds: products });
    for (const { productId, quantity, putIn } of stocks) {
      expect(Number(quantity), `seed ${seed}`).toBeGreaterThanOrEqual(0);
      expect(Number(putIn), `seed ${seed}, product ${productId}`).toBe(
        Number(quantity) + (held.get(productId) ?? 0),
      );
    }
    expect(seen[Status.PENDING], `seed ${seed}`).toBe(0);
    expect(seen[Status.CONFIRMED]).toBeGreaterThan(0);
    expect(seen[Status.CANCELED]).toBeGreaterThan(0);
    expect((await eventsOf(saga.order.log, StockReservedSchema)).length).toBeGreaterThan(0);
  });
});

/** A small random generator with a seed, so that a failing run can be run again. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
