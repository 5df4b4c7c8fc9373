import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient as createTypedClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { ProductService } from '@tradewind/contracts/product/v1/product';
import { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import { StockService } from '@tradewind/contracts/stock/v1/stock';
import { startService } from '@tradewind/testing/service';
import { expect, test } from 'vitest';
import { service as product } from '../../services/product/service.ts';
import { service as ratings } from '../../services/ratings/service.ts';
import { service as stock } from '../../services/stock/service.ts';
import { type CatalogueEntry, seedCatalogue } from '../seed.ts';
import { runTool } from './tool-process.ts';

const entries = JSON.parse(
  await readFile(new URL('../../examples/data/catalogue.json', import.meta.url), 'utf8'),
) as CatalogueEntry[];

/** Product and stock as they are, on one log, and nothing in them. */
async function startMarket() {
  await using scope = new AsyncDisposableStack();
  const stocks = scope.use(await startService(stock));
  const products = scope.use(
    await startService(product, { logUrl: stocks.logUrl, env: { STOCK_URL: stocks.url } }),
  );
  const urls = { productUrl: products.url, stockUrl: stocks.url };
  const kept = scope.move();
  return {
    ...urls,
    products,
    stocks,
    catalogue: createTypedClient(ProductService, createGrpcTransport({ baseUrl: products.url })),
    levels: createTypedClient(StockService, createGrpcTransport({ baseUrl: stocks.url })),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}
type Market = Awaited<ReturnType<typeof startMarket>>;

async function everything({ catalogue, levels }: Market) {
  const { products } = await catalogue.listProducts({ pageSize: 1_000 });
  const { stocks } = await levels.listStock({ pageSize: 1_000 });
  const left = stocks.map(({ productId, quantity, putIn, revision }) => ({
    productId,
    quantity,
    putIn,
    revision,
  }));
  return { products, left: left.filter(({ quantity }) => quantity > 0n) };
}

/** As if a day had passed. */
async function forgetKeys({ products, stocks }: Market): Promise<void> {
  for (const { database } of [products, stocks]) await database.pool.query('DELETE FROM idempotency_key');
}

test('the catalogue’s file is one that a shop could have', () => {
  expect(entries.length).toBeGreaterThanOrEqual(36);
  expect(new Set(entries.map(({ name }) => name)).size).toBe(entries.length);
  expect(new Set(entries.map(({ category }) => category)).size).toBeGreaterThanOrEqual(6);
  expect(entries[0]?.stock).toBeGreaterThanOrEqual(300);
  for (const { price, stock } of entries) expect([Number.isInteger(price), stock > 0]).toEqual([true, true]);
});

test('loads the file in its order, with its stock, and changes nothing the second time', async () => {
  await using market = await startMarket();
  const lines: string[] = [];
  const first = await seedCatalogue({ ...market, onProgress: (line) => lines.push(line) });
  expect(first).toEqual({ products: entries.length });
  expect(lines).toContain(`products: 10 of ${entries.length}`);
  const before = await everything(market);
  expect(before.products.map(({ id, name, price }) => ({ id, name, price }))).toEqual(
    entries.map(({ name, price }, index) => ({ id: index + 1, name, price: BigInt(price) })),
  );
  expect(before.left.map(({ quantity, putIn }) => [quantity, putIn])).toEqual(
    entries.map((entry) => [BigInt(entry.stock), BigInt(entry.stock)]),
  );

  expect(await seedCatalogue(market)).toEqual(first);
  expect(await everything(market)).toEqual(before);
  await forgetKeys(market);
  expect(await seedCatalogue(market)).toEqual(first);
  expect(await everything(market)).toEqual(before);
});

test('goes on where it was interrupted, and two at a time load one catalogue', async () => {
  await using market = await startMarket();
  const stop = new AbortController();
  const interrupted = seedCatalogue({ ...market, signal: stop.signal, onProgress: () => stop.abort() });
  await expect(interrupted).rejects.toThrow();
  const { products: some } = await everything(market);
  expect(some.length).toBeGreaterThanOrEqual(10);
  expect(some.length).toBeLessThan(entries.length);
  await forgetKeys(market);
  await Promise.all([seedCatalogue(market), seedCatalogue(market)]);
  const { products, left } = await everything(market);
  expect(products.map(({ name }) => name)).toEqual(entries.map(({ name }) => name));
  expect(left.map(({ quantity }) => Number(quantity))).toEqual(entries.map((entry) => entry.stock));
});

test('leaves what people changed, sold, deleted and added as it is', async () => {
  await using market = await startMarket();
  await seedCatalogue(market);
  const { catalogue, levels } = market;
  const last = entries.length;
  await catalogue.updateProduct({ id: last, product: { name: 'Renamed' }, updateMask: { paths: ['name'] } });
  await catalogue.updateProduct({ id: 1, product: { price: 1n }, updateMask: { paths: ['price'] } });
  await catalogue.deleteProduct({ id: 7 });
  await levels.setStock({ productId: 2, quantity: 5n });
  await catalogue.createProduct({ name: 'Our own', price: 100n });
  await catalogue.deleteProduct({ id: last - 1 });
  await forgetKeys(market);
  const gone = [7, last - 1];
  await expect
    .poll(async () =>
      (await everything(market)).left.map(({ productId }) => productId).filter((id) => gone.includes(id)),
    )
    .toEqual([]);
  const before = await everything(market);
  expect(await seedCatalogue(market)).toEqual({ products: entries.length - 2 });
  expect(await everything(market)).toEqual(before);
});

test('loads another file', async () => {
  await using market = await startMarket();
  const folder = await mkdtemp(join(tmpdir(), 'tradewind-seed-'));
  try {
    const file = join(folder, 'catalogue.json');
    await writeFile(file, JSON.stringify(entries.slice(0, 2)));
    expect(await seedCatalogue({ ...market, file })).toEqual({ products: 2 });
    expect((await everything(market)).products).toHaveLength(2);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('the container that seeds puts in the catalogue and two talks, and the second time it changes nothing', async () => {
  await using market = await startMarket();
  await using rating = await startService(ratings, { logUrl: market.stocks.logUrl });
  const talks = createTypedClient(RatingsService, createGrpcTransport({ baseUrl: rating.url }));
  const env = { PRODUCT_URL: market.productUrl, STOCK_URL: market.stockUrl, RATINGS_URL: rating.url };
  const seeded = async () => {
    const { code, out, err } = await runTool('containers/seed', [], env);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toContain(`the catalogue is there: ${entries.length} products\nthe talks are there\n`);
    const { talks: all } = await talks.listTalks({});
    return { ...(await everything(market)), talks: all };
  };
  const first = await seeded();
  expect(first.talks.map(({ id }) => id)).toEqual([
    'flight-of-the-gopher',
    'testcontainers-integration-testing',
  ]);
  await rating.database.pool.query('DELETE FROM idempotency_key');
  expect(await seeded()).toEqual(first);
}, 90_000);
