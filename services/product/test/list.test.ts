import { Code, ConnectError } from '@connectrpc/connect';
import type { EntityManager, QBFilterQuery } from '@mikro-orm/postgresql';
import { ProductOrder } from '@tradewind/contracts/product/v1/product';
import { violationsOf } from '@tradewind/rpc/failure';
import type { TestService } from '@tradewind/testing/service';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { after, matching, sorting } from '../listing.ts';
import { Product } from '../product.ts';
import { clientsOf, type ProductClient, startProduct } from './market.ts';
import { rate } from './rating.ts';

let running: TestService;
let client: ProductClient;
beforeAll(async () => {
  running = await startProduct();
  client = clientsOf(running.url).grpc;
  for (const [name, price, category, brand] of catalogue) {
    await client.createProduct({
      name,
      price: BigInt(price),
      category,
      brand,
      description: `About ${name}, from ${brand}.`,
    });
  }
  // Of Oak desk the same as of USB-C dock, by other ratings; none of three others.
  const ratings: [number, ...number[]][] = [
    [1, 4, 5],
    [2, 1],
    [4, 5, 4, 5, 4],
    [6, 5],
  ];
  for (const [id, ...values] of ratings) await rate(running, id, ...values);
});
afterAll(() => running[Symbol.asyncDispose]());

const catalogue = [
  ['Oak desk', 24900, 'furniture', 'Norrland'],
  ['armchair', 42900, 'furniture', 'Halden & Co'],
  ['Ångström lamp', 8900, 'lighting', 'Norrland'],
  ['USB-C dock', 15900, 'electronics', 'Portside'],
  ['Zebra rug', 8900, 'furniture', 'Halden & Co'],
  ['Éclair tin', 2900, 'kitchen', 'Crème'],
  ['desk lamp', 8900, 'lighting', 'Portside'],
] as const;

type Query = Parameters<ProductClient['listProducts']>[0];

async function names(query: Query): Promise<string[]> {
  return (await client.listProducts(query)).products.map(({ name }) => name);
}

/** Every page of a list, and how many there were. */
async function pages(query: Query): Promise<string[][]> {
  const all: string[][] = [];
  let pageToken = '';
  do {
    const page = await client.listProducts({ ...query, pageToken });
    all.push(page.products.map(({ name }) => name));
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  return all;
}

test('a list is by id, or in the order asked for, equal ones by id', async () => {
  const byId = catalogue.map(([name]) => name);
  expect(await names({})).toEqual(byId);
  expect(await names({ orderBy: ProductOrder.NEWEST })).toEqual(byId.toReversed());
  expect(await names({ orderBy: ProductOrder.NAME })).toEqual([
    'Ångström lamp',
    'armchair',
    'desk lamp',
    'Éclair tin',
    'Oak desk',
    'USB-C dock',
    'Zebra rug',
  ]);
  const cheap = [
    'Éclair tin',
    'Ångström lamp',
    'Zebra rug',
    'desk lamp',
    'USB-C dock',
    'Oak desk',
    'armchair',
  ];
  expect(await names({ orderBy: ProductOrder.PRICE })).toEqual(cheap);
  const dear = [
    'armchair',
    'Oak desk',
    'USB-C dock',
    'Ångström lamp',
    'Zebra rug',
    'desk lamp',
    'Éclair tin',
  ];
  expect(await names({ orderBy: ProductOrder.PRICE_DESC })).toEqual(dear);
  const best = [
    'Éclair tin',
    'Oak desk',
    'USB-C dock',
    'armchair',
    'Ångström lamp',
    'Zebra rug',
    'desk lamp',
  ];
  expect(await names({ orderBy: ProductOrder.RATING })).toEqual(best);
});

test('a category is matched whole', async () => {
  expect(await names({ category: 'furniture' })).toEqual(['Oak desk', 'armchair', 'Zebra rug']);
  expect(await names({ category: 'furni' })).toEqual([]);
  expect((await client.listCategories({})).categories).toEqual([
    'electronics',
    'furniture',
    'kitchen',
    'lighting',
  ]);
});

describe('a search', () => {
  test.each([
    ['desk', ['Oak desk', 'desk lamp']],
    ['DESK la', ['desk lamp']],
    ['angstrom', ['Ångström lamp']],
    ['ÅNGS', ['Ångström lamp']],
    ['creme', ['Éclair tin']],
    ['usb-c', ['USB-C dock']],
    ['norrland lamp', ['Ångström lamp']],
    ['esk', []],
    ['desk zebra', []],
    ['   ', catalogue.map(([name]) => name)],
    ['!!! ???', []],
    ["desk' | 'zebra", []],
    ["'; DROP TABLE product; --", []],
    ['desk:* & !lamp', ['desk lamp']],
    ['\u0000', []],
  ])('for %j', async (search, found) => {
    expect(await names({ search })).toEqual(found);
  });

  test('goes with category, order and pages', async () => {
    const query = { search: 'from', category: 'furniture', orderBy: ProductOrder.PRICE_DESC, pageSize: 2 };
    expect(await pages(query)).toEqual([['armchair', 'Oak desk'], ['Zebra rug']]);
  });
});

describe('pages', () => {
  test.each(Object.values(ProductOrder).filter((order) => typeof order === 'number'))(
    'of any size hold every product once, in order %s',
    async (orderBy) => {
      const whole = await names({ orderBy });
      for (const pageSize of [1, 2, 3, 6, 7]) {
        const parts = await pages({ orderBy, pageSize });
        expect(parts.flat()).toEqual(whole);
        expect(parts).toHaveLength(Math.ceil(whole.length / pageSize));
      }
    },
  );

  test('shift by nothing that is added or deleted meanwhile', async () => {
    const make = (name: string) => client.createProduct({ name, category: 'shifting' });
    for (const name of ['b', 'd', 'f', 'h']) await make(name);
    const query = { category: 'shifting', orderBy: ProductOrder.NAME, pageSize: 2 };
    const first = await client.listProducts(query);
    expect(first.products.map(({ name }) => name)).toEqual(['b', 'd']);
    await make('a');
    await make('e');
    await client.deleteProduct({ id: first.products[1]?.id ?? 0 });
    const second = await client.listProducts({ ...query, pageToken: first.nextPageToken });
    expect(second.products.map(({ name }) => name)).toEqual(['e', 'f']);
  });

  test('are counted when asked', async () => {
    const query = { category: 'furniture', pageSize: 1 };
    expect((await client.listProducts(query)).totalSize).toBeUndefined();
    expect((await client.listProducts({ ...query, includeTotalSize: true })).totalSize).toBe(3n);
    expect((await client.listProducts({ search: '!', includeTotalSize: true })).totalSize).toBe(0n);
  });

  test('are found again by tokens of the same list only', async () => {
    const { nextPageToken: pageToken } = await client.listProducts({ pageSize: 1, category: 'furniture' });
    const refused = async (query: Query) => {
      const error = await client.listProducts(query).catch((reason: unknown) => reason);
      if (!(error instanceof ConnectError)) throw new Error('the token was taken');
      expect(error.code).toBe(Code.InvalidArgument);
      expect(violationsOf(error).map(({ field }) => field)).toEqual(['page_token']);
    };
    expect(await names({ pageToken, pageSize: 5, category: 'furniture' })).toEqual(['armchair', 'Zebra rug']);
    await refused({ pageToken });
    await refused({ pageToken, category: 'lighting' });
    await refused({ pageToken, category: 'furniture', search: 'oak' });
    await refused({ pageToken, category: 'furniture', orderBy: ProductOrder.PRICE });
    const [print] = JSON.parse(Buffer.from(pageToken, 'base64url').toString());
    const forged = [
      [print],
      [print, null],
      [print, null, 0],
      [print, null, 1.5],
      [print, null, '1'],
      [print, 'x', 1],
      [print, null, 2 ** 31],
      {},
      5,
    ];
    for (const parts of forged) {
      await refused({
        category: 'furniture',
        pageToken: Buffer.from(JSON.stringify(parts)).toString('base64url'),
      });
    }
    for (const token of ['x', '!!!!', pageToken.slice(0, -4), 'e30'])
      await refused({ category: 'furniture', pageToken: token });
    const priced = await client.listProducts({ pageSize: 1, orderBy: ProductOrder.PRICE });
    const [price] = JSON.parse(Buffer.from(priced.nextPageToken, 'base64url').toString());
    for (const key of ['9'.repeat(30), '-1', 'x', null, 5]) {
      const token = Buffer.from(JSON.stringify([price, key, 1])).toString('base64url');
      await refused({ orderBy: ProductOrder.PRICE, pageToken: token });
    }
    const best = await client.listProducts({ pageSize: 1, orderBy: ProductOrder.RATING });
    const [rating] = JSON.parse(Buffer.from(best.nextPageToken, 'base64url').toString());
    for (const key of ['4.5', -0.5, 5.1, null, []]) {
      const token = Buffer.from(JSON.stringify([rating, key, 1])).toString('base64url');
      await refused({ orderBy: ProductOrder.RATING, pageToken: token });
    }
  });

  test('of the longest names go on', async () => {
    for (const suffix of ['a', 'b', 'c'])
      await client.createProduct({ name: '𝔘'.repeat(199) + suffix, category: 'long' });
    expect(await pages({ category: 'long', orderBy: ProductOrder.NAME, pageSize: 1 })).toHaveLength(3);
  });
});

test('on a large table every list walks an index', async () => {
  const { pool } = running.database;
  await pool.query(`
    INSERT INTO product (name, description, price, currency, category, brand, thumbnail, words, sort_key, created_at, updated_at, revision,
      rating_count, rating_sum, rating)
    SELECT 'bulk ' || n, '', n % 5000, 'USD', 'bulk' || n % 200, '', '', ARRAY['bulk', 'n' || n], 'bulk ' || n, now(), now(), 1,
      1000 * sign(n % 4), (1000 + n % 4001) * sign(n % 4), CASE WHEN n % 4 <> 0 THEN (1000 + n % 4001)::float8 / 1000 END
    FROM generate_series(1, 50000) AS n`);
  await pool.query('ANALYZE product');
  const em = running.database.orm.em.fork() as EntityManager;
  const bulk = { category: 'bulk7', search: '', orderBy: ProductOrder.UNSPECIFIED };
  const all = { ...bulk, category: '' };
  for (const [listing, key] of [
    [all, null],
    [{ ...all, orderBy: ProductOrder.NEWEST }, null],
    [{ ...all, orderBy: ProductOrder.NAME }, 'bulk 3'],
    [{ ...all, orderBy: ProductOrder.PRICE }, 77n],
    [{ ...all, orderBy: ProductOrder.PRICE_DESC }, 77n],
    [{ ...all, orderBy: ProductOrder.RATING }, 4.321],
    [{ ...all, orderBy: ProductOrder.RATING }, 0],
    [bulk, null],
    [{ ...all, search: 'n47111 bulk' }, null],
  ] as const) {
    const where = [...(matching(listing) ?? []), ...after(listing.orderBy, { key, id: 25_000 })];
    const query = em
      .createQueryBuilder(Product)
      .where({ $and: where } as QBFilterQuery<Product>)
      .orderBy(sorting(listing.orderBy))
      .limit(101);
    const { rows } = await pool.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${query.getFormattedQuery()}`);
    const plan = JSON.stringify(rows[0]);
    expect(plan).toContain('Index');
    expect(plan).not.toContain('Seq Scan');
    // Pages in the middle begin there: rows read and thrown away would show that the walk began at the start.
    const removed = [...plan.matchAll(/"Rows Removed by Filter":(\d+)/g)].map(([, count]) => Number(count));
    expect(Math.max(0, ...removed)).toBeLessThan(1_000);
  }
  expect(await names({ search: 'n47111' })).toEqual(['bulk 47111']);
  expect((await client.listCategories({})).categories).toContain('bulk199');
});
