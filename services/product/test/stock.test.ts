import { freePort } from '@tradewind/testing/port';
import { expect, test } from 'vitest';
import { ask, clientsOf, serveStock, silence, startProduct } from './market.ts';

const unavailable = { code: 'UNAVAILABLE', service: 'stock' };

async function fill(url: string, count: number): Promise<void> {
  const client = clientsOf(url).grpc;
  for (let n = 1; n <= count; n++) await client.createProduct({ name: `Product ${n}`, price: 100n });
}

test('stock of all products of a request comes by one call, whatever lists they are in', async () => {
  await using stock = await serveStock(
    new Map([
      [1, 600n],
      [2, 0n],
      [4, 5_000_000_000n],
    ]),
  );
  await using running = await startProduct({ STOCK_URL: stock.url });
  await fill(running.url, 4);

  const list = await ask(running, '{ products { id name price stock } }');
  expect(list.errors).toBeUndefined();
  // 3 is not known to stock; 4 has more than GraphQL's Int can say.
  expect(list.data?.products).toMatchObject([
    { stock: 600 },
    { stock: 0 },
    { stock: null },
    { stock: 2_147_483_647 },
  ]);
  expect(stock.calls).toEqual([[1, 2, 3, 4]]);

  stock.calls.length = 0;
  // Read by statements of their own, which are answered one after the other.
  await ask(
    running,
    `{ a: products(first: 1) { stock } b: products(sort: NEWEST, first: 1) { stock } c: productById(id: 2) { stock }
       d: productsConnection(search: "3") { totalCount edges { node { again: stock stock } } } e: products(search: "3") { stock } }`,
  );
  expect(stock.calls.map((ids) => ids.toSorted())).toEqual([[1, 2, 3, 4]]);

  stock.calls.length = 0;
  const batch = await fetch(`${running.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify([
      { query: '{ productById(id: 1) { stock } }' },
      { query: '{ products { stock } }' },
    ]),
  });
  expect(await batch.json()).toMatchObject([{ data: { productById: { stock: 600 } } }, { data: {} }]);
  expect(stock.calls).toHaveLength(1);

  stock.calls.length = 0;
  await ask(running, '{ products { id name price } }');
  expect(stock.calls).toEqual([]);
});

test('more than a thousand products are asked for by the thousand', async () => {
  await using stock = await serveStock(new Map([[1_001, 7n]]));
  await using running = await startProduct({ STOCK_URL: stock.url });
  await running.database.pool.query(`
    INSERT INTO product (name, description, price, currency, category, brand, thumbnail, words, sort_key, created_at, updated_at, revision)
    SELECT 'p' || n, '', n, 'USD', '', '', '', '{}', 'p' || n, now(), now(), 1 FROM generate_series(1, 1500) AS n`);
  const { data } = await ask(running, '{ a: products { stock } b: products(sort: NEWEST) { id stock } }');
  expect(data?.b).toContainEqual({ id: 1_001, stock: 7 });
  expect(stock.calls.map(({ length }) => length).toSorted()).toEqual([1_000, 500]);
});

test('with stock stopped the list comes at once, with one error that names it, and with stock again when that is back', async () => {
  const port = await freePort();
  await using running = await startProduct({ STOCK_URL: `http://127.0.0.1:${port}` });
  await fill(running.url, 3);
  const startedAt = performance.now();
  const { status, data, errors } = await ask(running, '{ products { id name stock } productCategories }');
  expect(performance.now() - startedAt).toBeLessThan(900);
  expect(status).toBe(200);
  expect(data).toEqual({
    products: [1, 2, 3].map((id) => ({ id, name: `Product ${id}`, stock: null })),
    productCategories: [],
  });
  expect(errors).toEqual([
    {
      message: 'the stock service could not be reached',
      path: ['products', 0, 'stock'],
      locations: expect.anything(),
      extensions: unavailable,
    },
  ]);
  const batch = await fetch(`${running.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify([
      { query: '{ productById(id: 1) { stock } }' },
      { query: '{ products { stock } }' },
    ]),
  });
  // Each operation has an answer, and so an error, of its own.
  expect(await batch.json()).toMatchObject([
    { errors: [{ extensions: unavailable }] },
    { errors: [{ extensions: unavailable }] },
  ]);

  await using _stock = await serveStock(new Map([[1, 1n]]), port);
  await expect
    .poll(async () => (await ask(running, '{ productById(id: 1) { stock } }')).data, { timeout: 10_000 })
    .toEqual({ productById: { stock: 1 } });
});

test('with stock hanging the list comes within the deadline', async () => {
  await using stock = await silence();
  await using running = await startProduct({ STOCK_URL: stock.url, STOCK_TIMEOUT: '300ms' });
  await fill(running.url, 2);
  const startedAt = performance.now();
  const { data, errors } = await ask(running, '{ products { id stock } }');
  const tookMs = performance.now() - startedAt;
  expect(tookMs).toBeGreaterThan(250);
  expect(tookMs).toBeLessThan(1_000);
  expect(data).toEqual({
    products: [
      { id: 1, stock: null },
      { id: 2, stock: null },
    ],
  });
  expect(errors).toHaveLength(1);
  expect(errors?.[0]?.extensions).toMatchObject({
    service: 'stock',
    code: expect.stringMatching(/^(DEADLINE_EXCEEDED|UNAVAILABLE)$/),
  });
  expect(stock.connections()).toBeGreaterThan(0);
  // Who hangs delays nobody who does not ask for stock.
  const others = performance.now();
  const slow = ask(running, '{ products { stock } }');
  await ask(running, '{ products { id } }');
  expect(performance.now() - others).toBeLessThan(250);
  await slow;
});
