import { Code } from '@connectrpc/connect';
import { ProductCreatedSchema, ProductDeletedSchema } from '@tradewind/contracts/product/v1/events';
import { append, behind, recordOf } from '@tradewind/testing/events';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { refusal, startStock, type TestStock } from './stock-service.ts';

let stock: TestStock;
beforeAll(async () => {
  stock = await startStock();
});
afterEach(async () => expect(await stock.unbalanced()).toEqual([]));
afterAll(() => stock?.[Symbol.asyncDispose]());

let next = 1;
const fresh = () => next++;
const withKey = (key: string) => ({ headers: { 'idempotency-key': key } });
const remove = async (productId: number) => {
  await append(stock.log, recordOf(ProductDeletedSchema, { productId, revision: 9n }));
  await expect.poll(() => behind(stock.log, 'stock', ProductDeletedSchema)).toBe(0);
};

describe('SetStock', () => {
  test('makes what is left equal to a quantity, also of a product that stock never heard of', async () => {
    const productId = fresh();
    const { stock: first } = await stock.call.setStock({ productId, quantity: 7n });
    expect(first).toMatchObject({ productId, quantity: 7n, putIn: 7n, revision: 2n });
    expect(first?.updatedAt).toBeDefined();
    const { stock: second } = await stock.call.setStock({ productId, quantity: 3n });
    expect(second).toMatchObject({ quantity: 3n, putIn: 3n, revision: 3n });
    expect((await stock.call.getStock({ productId })).stock).toEqual(second);
    const movements = await stock.query(
      'SELECT cause, delta FROM movement WHERE product_id = $1 ORDER BY moved_at',
      [productId],
    );
    expect(movements).toEqual([
      { cause: 'adjustment', delta: '7' },
      { cause: 'adjustment', delta: '-4' },
    ]);
  });

  test('to what is there already moves nothing', async () => {
    const productId = await stock.put(fresh(), 5);
    const before = await stock.call.getStock({ productId });
    expect((await stock.call.setStock({ productId, quantity: 5n })).stock).toEqual(before.stock);
    await stock.call.setStock({ productId: fresh(), quantity: 0n });
  });

  test('by many at the same time makes one product of it', async () => {
    const productId = fresh();
    await Promise.all(Array.from({ length: 20 }, () => stock.call.setStock({ productId, quantity: 4n })));
    expect(await stock.left(productId)).toBe(4);
  });

  test('races with the news of the product, and both count', async () => {
    const productIds = Array.from({ length: 20 }, fresh);
    await Promise.all([
      ...productIds.map((productId) => stock.call.setStock({ productId, quantity: 3n })),
      append(
        stock.log,
        ...productIds.map((productId) => recordOf(ProductCreatedSchema, { productId, revision: 1n })),
      ),
    ]);
    await expect.poll(() => behind(stock.log, 'stock', ProductCreatedSchema)).toBe(0);
    const rows = await stock.query(
      'SELECT quantity, product_revision FROM stock WHERE product_id = ANY($1)',
      [productIds],
    );
    expect(rows).toEqual(Array(20).fill({ quantity: '3', product_revision: '1' }));
  });
});

describe('AdjustStock', () => {
  test('adds and takes', async () => {
    const productId = await stock.put(fresh(), 5);
    expect((await stock.call.adjustStock({ productId, delta: 10n })).stock).toMatchObject({
      quantity: 15n,
      putIn: 15n,
    });
    expect((await stock.call.adjustStock({ productId, delta: -15n })).stock).toMatchObject({
      quantity: 0n,
      putIn: 0n,
    });
  });

  test('never leaves less than nothing, or more than can be counted', async () => {
    const productId = await stock.put(fresh(), 5);
    expect(await refusal(stock.call.adjustStock({ productId, delta: -6n }))).toEqual({
      code: Code.FailedPrecondition,
      fields: [],
    });
    await stock.query(
      `WITH moved AS (INSERT INTO movement VALUES (gen_random_uuid(), 'adjustment', $1, 999999999999990))
      UPDATE stock SET quantity = quantity + 999999999999990, put_in = put_in + 999999999999990 WHERE product_id = $1`,
      [productId],
    );
    expect(await refusal(stock.call.adjustStock({ productId, delta: 6n }))).toEqual({
      code: Code.FailedPrecondition,
      fields: [],
    });
    await stock.call.adjustStock({ productId, delta: 5n });
  });

  test('by many at the same time loses nothing', async () => {
    const productId = await stock.put(fresh(), 10);
    const answers = await Promise.allSettled(
      Array.from({ length: 30 }, () => stock.call.adjustStock({ productId, delta: -1n })),
    );
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(10);
    expect(await stock.left(productId)).toBe(0);
  });

  test('of a product that nobody knows is NOT_FOUND', async () => {
    expect(await refusal(stock.call.adjustStock({ productId: fresh(), delta: 1n }))).toEqual({
      code: Code.NotFound,
      fields: [],
    });
  });
});

describe('an idempotency key', () => {
  test('gives the first answer again, though the stock moved on, and moves nothing', async () => {
    const productId = await stock.put(fresh(), 1);
    const first = await stock.call.adjustStock({ productId, delta: -1n }, withKey('adjust'));
    await stock.call.adjustStock({ productId, delta: 4n });
    expect(await stock.call.adjustStock({ productId, delta: -1n }, withKey('adjust'))).toEqual(first);
    expect(await stock.left(productId)).toBe(4);
    const set = await stock.call.setStock({ productId, quantity: 9n }, withKey('adjust'));
    await stock.put(productId, 2);
    expect(await stock.call.setStock({ productId, quantity: 9n }, withKey('adjust'))).toEqual(set);
    expect(await stock.left(productId)).toBe(2);
  });

  test('is refused for another request, and free again after a failure', async () => {
    const productId = await stock.put(fresh(), 1);
    await stock.call.setStock({ productId, quantity: 1n }, withKey('taken'));
    expect(await refusal(stock.call.setStock({ productId, quantity: 2n }, withKey('taken')))).toEqual({
      code: Code.AlreadyExists,
      fields: [],
    });
    expect(await refusal(stock.call.adjustStock({ productId, delta: -2n }, withKey('again')))).toMatchObject({
      code: Code.FailedPrecondition,
    });
    await stock.put(productId, 2);
    await stock.call.adjustStock({ productId, delta: -2n }, withKey('again'));
    expect(await stock.left(productId)).toBe(0);
  });

  test('makes one movement of many requests at the same time', async () => {
    const productId = await stock.put(fresh(), 0);
    await Promise.all(
      Array.from({ length: 30 }, () => stock.call.adjustStock({ productId, delta: 2n }, withKey('twins'))),
    );
    expect(await stock.left(productId)).toBe(2);
  });

  test('that is none is named', async () => {
    const call = stock.call.setStock({ productId: fresh(), quantity: 1n }, withKey('k'.repeat(256)));
    expect(await refusal(call)).toEqual({ code: Code.InvalidArgument, fields: ['Idempotency-Key'] });
  });
});

describe('reading', () => {
  test('many products in one call, each once, in product order, unknown ones left out', async () => {
    const [a, b, unknown] = [await stock.put(fresh(), 1), await stock.put(fresh(), 0), fresh()];
    const { stocks } = await stock.call.batchGetStock({ productIds: [b, unknown, a, b] });
    expect(stocks.map(({ productId, quantity }) => [productId, quantity])).toEqual([
      [a, 1n],
      [b, 0n],
    ]);
    expect(await refusal(stock.call.getStock({ productId: unknown }))).toEqual({
      code: Code.NotFound,
      fields: [],
    });
  });

  test('pages hold every product once; those of nothing left only such', async () => {
    for (let n = 0; n < 10; n++) await stock.put(fresh(), n % 2);
    const pages = async (list: 'listStock' | 'listEmptyStock') => {
      const seen: { productId: number; quantity: bigint }[] = [];
      let pageToken = '';
      do {
        const page = await stock.call[list]({ pageSize: 3, pageToken });
        expect(page.stocks.length).toBeLessThanOrEqual(3);
        seen.push(...page.stocks);
        pageToken = page.nextPageToken;
      } while (pageToken);
      return seen.map(({ productId }) => productId);
    };
    const known = await stock.query(
      'SELECT product_id, quantity FROM stock WHERE NOT deleted ORDER BY product_id',
    );
    expect(await pages('listStock')).toEqual(known.map((row) => row.product_id));
    expect(await pages('listEmptyStock')).toEqual(
      known.filter((row) => row.quantity === '0').map((row) => row.product_id),
    );
  });
});

test('a deleted product is not known any more, and nothing can be put in or taken', async () => {
  const productId = await stock.put(fresh(), 5);
  await remove(productId);
  expect(await refusal(stock.call.getStock({ productId }))).toMatchObject({ code: Code.NotFound });
  expect((await stock.call.batchGetStock({ productIds: [productId] })).stocks).toEqual([]);
  expect((await stock.call.listStock({ pageSize: 1000 })).stocks.map((each) => each.productId)).not.toContain(
    productId,
  );
  // But whoever compares books sees it.
  const { stocks } = await stock.call.listStock({ pageSize: 1000, includeDeleted: true });
  const known = await stock.query('SELECT product_id FROM stock ORDER BY product_id');
  expect(stocks.map((each) => each.productId)).toEqual(known.map((row) => row.product_id));
  expect(stocks.filter(({ deleted }) => deleted)).toMatchObject([{ productId, quantity: 5n, putIn: 5n }]);
  const refused = { code: Code.FailedPrecondition, fields: [] };
  expect(await refusal(stock.call.setStock({ productId, quantity: 1n }))).toEqual(refused);
  expect(await refusal(stock.call.adjustStock({ productId, delta: 1n }))).toEqual(refused);
});

test('a request is checked, and what is wrong is named', async () => {
  const { call } = stock;
  const bad = (...fields: string[]) => ({ code: Code.InvalidArgument, fields });
  expect(await refusal(call.getStock({}))).toEqual(bad('product_id'));
  expect(await refusal(call.getStock({ productId: -1 }))).toEqual(bad('product_id'));
  expect(await refusal(call.batchGetStock({}))).toEqual(bad('product_ids'));
  expect(await refusal(call.batchGetStock({ productIds: [1, 0] }))).toEqual(bad('product_ids[1]'));
  expect(await refusal(call.batchGetStock({ productIds: Array(10_000).fill(1) }))).toEqual(
    bad('product_ids'),
  );
  expect(await refusal(call.listStock({ pageSize: 1001 }))).toEqual(bad('page_size'));
  expect(await refusal(call.listStock({ pageToken: 'cDA' }))).toEqual(bad('page_token'));
  expect(await refusal(call.listEmptyStock({ pageToken: 'x' }))).toEqual(bad('page_token'));
  expect(await refusal(call.setStock({ productId: 1, quantity: -1n }))).toEqual(bad('quantity'));
  expect(await refusal(call.setStock({ productId: 1, quantity: 10n ** 12n + 1n }))).toEqual(bad('quantity'));
  expect(await refusal(call.setStock({ productId: 0, quantity: 1n }))).toEqual(bad('product_id'));
  expect(await refusal(call.adjustStock({ productId: 1 }))).toEqual(bad('delta'));
  expect(await refusal(call.adjustStock({ productId: 1, delta: -(10n ** 12n) - 1n }))).toEqual(bad('delta'));
});
