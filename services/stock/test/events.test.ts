import { OrderCanceledSchema, OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import {
  ProductCreatedSchema,
  ProductDeletedSchema,
  ProductUpdatedSchema,
} from '@tradewind/contracts/product/v1/events';
import { StockExceededAmountSchema, StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import { append, behind, deadLettersOf, eventsOf, recordOf } from '@tradewind/testing/events';
import { v7 } from 'uuid';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startStock, type TestStock } from './stock-service.ts';

const products = [ProductCreatedSchema, ProductUpdatedSchema, ProductDeletedSchema];
let stock: TestStock;
beforeAll(async () => {
  stock = await startStock();
});
afterEach(async () => expect(await stock.unbalanced()).toEqual([]));
afterAll(() => stock?.[Symbol.asyncDispose]());

let next = 1;
const fresh = () => next++;
type Lines = readonly (readonly [productId: number, quantity: number])[];
const created = (orderId: string, lines: Lines, id?: string) =>
  recordOf(
    OrderCreatedSchema,
    { orderId, lines: lines.map(([productId, quantity]) => ({ productId, quantity })), revision: 1n },
    id,
  );
const canceled = (orderId: string, id?: string) =>
  recordOf(OrderCanceledSchema, { orderId, reason: 'no', revision: 2n }, id);
/** Waits until everything on the log so far was handled. */
const settled = () =>
  expect
    .poll(() => behind(stock.log, 'stock', OrderCreatedSchema, OrderCanceledSchema, ...products), {
      timeout: 10_000,
    })
    .toBe(0);
const told = async (id: string) => {
  const of = <Event extends { orderId: string }>(events: Event[]) =>
    events.filter(({ orderId }) => orderId === id);
  return {
    reserved: of(await eventsOf(stock.log, StockReservedSchema)),
    exceeded: of(await eventsOf(stock.log, StockExceededAmountSchema)),
  };
};
const nothing = { reserved: [], exceeded: [] };

describe('order.created', () => {
  test('takes the goods of all lines, those of one product added up', async () => {
    const [a, b] = [await stock.put(fresh(), 10), await stock.put(fresh(), 2)];
    const id = v7();
    await append(
      stock.log,
      created(id, [
        [b, 2],
        [a, 3],
        [a, 4],
      ]),
    );
    await expect
      .poll(() => told(id))
      .toMatchObject({
        reserved: [
          {
            orderId: id,
            lines: [
              { productId: a, quantity: 7n },
              { productId: b, quantity: 2n },
            ],
            revision: 1n,
          },
        ],
        exceeded: [],
      });
    expect([await stock.left(a), await stock.left(b)]).toEqual([3, 0]);
    expect((await stock.call.getStock({ productId: a })).stock).toMatchObject({ quantity: 3n, putIn: 10n });
  });

  test('takes nothing when one line is short, and says what was asked and left', async () => {
    const [a, b, unknown] = [await stock.put(fresh(), 10), await stock.put(fresh(), 3), fresh()];
    const id = v7();
    await append(
      stock.log,
      created(id, [
        [a, 1],
        [unknown, 5],
        [b, 2],
        [b, 2],
      ]),
    );
    await expect
      .poll(() => told(id))
      .toMatchObject({
        reserved: [],
        exceeded: [
          {
            orderId: id,
            shortages: [
              { productId: b, requested: 4n, available: 3n, unknownProduct: false },
              { productId: unknown, requested: 5n, available: 0n, unknownProduct: true },
            ],
            revision: 1n,
          },
        ],
      });
    expect([await stock.left(a), await stock.left(b)]).toEqual([10, 3]);
  });

  test('names every product that fell short', async () => {
    const id = v7();
    const first = next;
    next += 1000;
    await append(
      stock.log,
      created(
        id,
        Array.from({ length: 1000 }, (_, n) => [first + n, 1] as const),
      ),
    );
    await expect.poll(async () => (await told(id)).exceeded[0]?.shortages.length).toBe(1_000);
  });

  test('takes the last piece once: orders of one batch see what the ones before them left', async () => {
    const a = await stock.put(fresh(), 5);
    const ids = Array.from({ length: 8 }, () => v7());
    await append(stock.log, ...ids.map((id) => created(id, [[a, 1]])));
    await settled();
    expect(await stock.left(a)).toBe(0);
    const answers = async () => {
      const all = await Promise.all(ids.map(told));
      return [
        all.filter(({ reserved }) => reserved.length === 1).length,
        all.filter(({ exceeded }) => exceeded.length === 1).length,
      ];
    };
    await expect.poll(answers).toEqual([5, 3]);
  });

  test('delivered again takes nothing and tells nothing', async () => {
    const a = await stock.put(fresh(), 10);
    const [id, event] = [v7(), v7()];
    await append(stock.log, created(id, [[a, 1]], event), created(id, [[a, 1]], event));
    await settled();
    await append(stock.log, created(id, [[a, 1]], event));
    await settled();
    expect(await stock.left(a)).toBe(9);
    await expect.poll(() => told(id)).toMatchObject({ reserved: [{}], exceeded: [] });
  });

  test('told again under another id takes nothing and repeats the first answer', async () => {
    const a = await stock.put(fresh(), 10);
    const [filled, failed] = [v7(), v7()];
    await append(stock.log, created(filled, [[a, 4]]));
    await settled();
    await append(stock.log, created(failed, [[a, 7]]));
    await settled();
    await stock.put(a, 100);
    await append(stock.log, created(filled, [[a, 4]]), created(failed.toUpperCase(), [[a, 7]]));
    await settled();
    expect(await stock.left(a)).toBe(100);
    const answer = { orderId: filled, lines: [{ productId: a, quantity: 4n }], revision: 1n };
    await expect.poll(() => told(filled)).toMatchObject({ reserved: [answer, answer], exceeded: [] });
    const shortage = { orderId: failed, shortages: [{ requested: 7n, available: 6n }] };
    await expect.poll(() => told(failed)).toMatchObject({ reserved: [], exceeded: [shortage, shortage] });
  });

  test('that does not fit its contract is a dead letter, and holds nobody up', async () => {
    const a = await stock.put(fresh(), 10);
    const id = v7();
    await append(stock.log, created(id, [[a, 0]]), created(id, [[a, 1]]));
    await expect.poll(() => stock.left(a)).toBe(9);
    await expect
      .poll(() => deadLettersOf(stock.log, OrderCreatedSchema))
      .toMatchObject([{ key: id, headers: { dlq_reason: 'undecodable', dlq_group: 'stock' } }]);
  });

  test('that the database refuses is tried again, then a dead letter, and others go on', async () => {
    const [poisoned, fine] = [await stock.put(fresh(), 10), await stock.put(fresh(), 10)];
    await stock.query(
      `ALTER TABLE stock ADD CONSTRAINT poison CHECK (product_id <> ${poisoned} OR quantity = 10)`,
    );
    const [bad, good] = [v7(), v7()];
    await append(stock.log, created(bad, [[poisoned, 1]]), created(good, [[fine, 1]]));
    await expect.poll(() => told(good)).toMatchObject({ reserved: [{}] });
    const letters = async () =>
      (await deadLettersOf(stock.log, OrderCreatedSchema)).filter(({ key }) => key === bad);
    await expect
      .poll(letters, { timeout: 10_000 })
      .toMatchObject([{ headers: { dlq_reason: 'failed', dlq_attempts: '6' } }]);
    expect(await told(bad)).toEqual(nothing);
    await stock.query('ALTER TABLE stock DROP CONSTRAINT poison');
    expect([await stock.left(poisoned), await stock.left(fine)]).toEqual([10, 9]);
  });
});

describe('order.canceled', () => {
  test('gives back exactly what the order took, once', async () => {
    const [a, b] = [await stock.put(fresh(), 10), await stock.put(fresh(), 10)];
    const [id, other, event] = [v7(), v7(), v7()];
    await append(
      stock.log,
      created(id, [
        [a, 3],
        [b, 4],
      ]),
      created(other, [[a, 2]]),
    );
    await settled();
    await append(
      stock.log,
      canceled(id, event),
      canceled(id, event),
      canceled(id),
      canceled(id.toUpperCase()),
    );
    await settled();
    await append(stock.log, canceled(id, event));
    await settled();
    expect([await stock.left(a), await stock.left(b)]).toEqual([8, 10]);
    // Nor did the ledger have to refuse it.
    expect((await deadLettersOf(stock.log, OrderCanceledSchema)).filter(({ key }) => key === id)).toEqual([]);
  });

  test('in one batch with its creation takes and gives back', async () => {
    const a = await stock.put(fresh(), 10);
    const id = v7();
    await append(stock.log, created(id, [[a, 3]]), canceled(id));
    await settled();
    expect(await stock.left(a)).toBe(10);
  });

  test('consumed before the creation makes it take nothing', async () => {
    const a = await stock.put(fresh(), 10);
    const id = v7();
    await append(stock.log, canceled(id));
    await settled();
    await append(stock.log, created(id, [[a, 3]]));
    await settled();
    expect(await stock.left(a)).toBe(10);
    expect(await told(id)).toEqual(nothing);
  });

  test('of an order that took nothing gives nothing', async () => {
    const a = await stock.put(fresh(), 1);
    const id = v7();
    await append(stock.log, created(id, [[a, 3]]));
    await settled();
    await append(stock.log, canceled(id));
    await settled();
    expect(await stock.left(a)).toBe(1);
  });

  test('an order told again after its cancel takes nothing and is not answered', async () => {
    const a = await stock.put(fresh(), 10);
    const id = v7();
    await append(stock.log, created(id, [[a, 3]]));
    await settled();
    await append(stock.log, canceled(id));
    await settled();
    await append(stock.log, created(id, [[a, 3]]));
    await settled();
    expect(await stock.left(a)).toBe(10);
    await expect.poll(() => told(id)).toMatchObject({ reserved: [{}], exceeded: [] });
  });

  test('also when the product was deleted meanwhile', async () => {
    const a = await stock.put(fresh(), 10);
    const id = v7();
    await append(stock.log, created(id, [[a, 3]]));
    await settled();
    await append(stock.log, recordOf(ProductDeletedSchema, { productId: a, revision: 5n }));
    await settled();
    await append(stock.log, canceled(id));
    await settled();
    expect(await stock.query('SELECT quantity FROM stock WHERE product_id = $1', [a])).toEqual([
      { quantity: '10' },
    ]);
  });

  test('that does not fit its contract is a dead letter, and holds nobody up', async () => {
    const id = v7();
    await append(stock.log, { ...canceled(id), value: Buffer.from('{') }, canceled(id));
    await expect
      .poll(() => stock.query('SELECT outcome FROM reservation WHERE order_id = $1', [id]))
      .toEqual([{ outcome: 'canceled-before-created' }]);
    await expect.poll(() => deadLettersOf(stock.log, OrderCanceledSchema)).toMatchObject([{ key: id }]);
  });
});

test('a creation and its cancel by two members at the same time end in balance', async () => {
  await using twin = await startStock({ databaseUrl: stock.databaseUrl, logUrl: stock.logUrl });
  const a = await stock.put(fresh(), 1000);
  const ids = Array.from({ length: 200 }, () => v7());
  await append(
    stock.log,
    ...ids.flatMap((id, n) =>
      n % 2 ? [canceled(id), created(id, [[a, 1]])] : [created(id, [[a, 1]]), canceled(id)],
    ),
  );
  await settled();
  expect(await stock.left(a)).toBe(1000);
  const outcomes = await stock.query('SELECT DISTINCT outcome FROM reservation WHERE order_id = ANY($1)', [
    ids,
  ]);
  expect(outcomes.map(({ outcome }) => outcome)).not.toContain('reserved');
  await twin.stop();
});

describe('product.*', () => {
  const hear = (schema: (typeof products)[number], productId: number, revision: bigint, id?: string) =>
    recordOf(schema, { productId, revision }, id);

  test('a product that was created is known, with nothing of it', async () => {
    const a = fresh();
    await append(stock.log, hear(ProductCreatedSchema, a, 1n));
    await expect.poll(() => stock.left(a)).toBe(0);
    const { stock: known } = await stock.call.getStock({ productId: a });
    expect(known).toMatchObject({ quantity: 0n, putIn: 0n, revision: 1n });
  });

  test('a product that was deleted can not be ordered', async () => {
    const a = await stock.put(fresh(), 10);
    await append(stock.log, hear(ProductDeletedSchema, a, 2n));
    await settled();
    const id = v7();
    await append(stock.log, created(id, [[a, 1]]));
    await expect
      .poll(() => told(id))
      .toMatchObject({ exceeded: [{ shortages: [{ productId: a, unknownProduct: true }] }] });
  });

  const orders = [
    [ProductCreatedSchema, ProductUpdatedSchema, ProductDeletedSchema],
    [ProductDeletedSchema, ProductCreatedSchema, ProductUpdatedSchema],
    [ProductUpdatedSchema, ProductDeletedSchema, ProductCreatedSchema],
    [ProductDeletedSchema, ProductUpdatedSchema, ProductCreatedSchema],
  ] as const;
  test.each(orders)('in whatever order they are heard, the newest counts: %#', async (...heard) => {
    const a = fresh();
    for (const schema of heard) {
      await append(stock.log, hear(schema, a, BigInt(products.indexOf(schema) + 1)));
      await settled();
    }
    const [row] = await stock.query('SELECT deleted, product_revision FROM stock WHERE product_id = $1', [a]);
    expect(row).toEqual({ deleted: true, product_revision: '3' });
  });

  test('an update that overtakes the creation makes the product known', async () => {
    const a = fresh();
    await append(stock.log, hear(ProductUpdatedSchema, a, 2n));
    await expect.poll(() => stock.left(a)).toBe(0);
    await append(stock.log, hear(ProductCreatedSchema, a, 1n));
    await settled();
    expect(
      await stock.query('SELECT product_revision, revision FROM stock WHERE product_id = $1', [a]),
    ).toEqual([{ product_revision: '2', revision: '1' }]);
  });

  test.each(products)('%s delivered again changes nothing', async (schema) => {
    const [a, event] = [await stock.put(fresh(), 4), v7()];
    await append(stock.log, hear(schema, a, 1n, event), hear(schema, a, 1n, event));
    await settled();
    const before = await stock.query('SELECT * FROM stock WHERE product_id = $1', [a]);
    await append(stock.log, hear(schema, a, 1n, event), hear(schema, a, 1n));
    await settled();
    expect(await stock.query('SELECT * FROM stock WHERE product_id = $1', [a])).toEqual(before);
  });

  test.each(products)(
    '%s that does not fit its contract is a dead letter, and holds nobody up',
    async (schema) => {
      const a = fresh();
      await append(
        stock.log,
        { ...hear(schema, a, 1n), value: Buffer.from('{"product_id":-1}') },
        hear(schema, a, 1n),
      );
      await settled();
      expect(await stock.query('SELECT 1 AS known FROM stock WHERE product_id = $1', [a])).toEqual([
        { known: 1 },
      ]);
      await expect
        .poll(() => deadLettersOf(stock.log, schema))
        .toMatchObject([{ headers: { dlq_reason: 'undecodable' } }]);
    },
  );
});
