import type { TestService } from '@tradewind/testing/service';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ask, clientsOf, type ProductClient, startProduct } from './market.ts';
import { rate } from './rating.ts';

let running: TestService;
let client: ProductClient;
beforeAll(async () => {
  running = await startProduct();
  client = clientsOf(running.url).grpc;
  await client.createProduct({
    name: 'Oak desk',
    description: 'Solid oak.',
    price: 24900n,
    category: 'furniture',
    brand: 'Norrland',
    thumbnail: '/desk.png',
  });
  await client.createProduct({ name: 'Zebra rug', price: 8999n, category: 'furniture' });
  await client.createProduct({ name: 'Lamp', price: 24900n, currency: 'JPY', category: 'lighting' });
});
afterAll(() => running[Symbol.asyncDispose]());

test('a product has every field of the contract, its price in major units', async () => {
  const { data, errors } = await ask(
    running,
    `query ($id: Int) { productById(id: $id) {
      id name description price currency category brand thumbnail rating ratingCount createdAt updatedAt revision __typename
    } }`,
    { id: 1 },
  );
  expect(errors).toBeUndefined();
  expect(data).toEqual({
    productById: {
      id: 1,
      name: 'Oak desk',
      description: 'Solid oak.',
      price: 249,
      currency: 'USD',
      category: 'furniture',
      brand: 'Norrland',
      thumbnail: '/desk.png',
      rating: null,
      ratingCount: 0,
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      updatedAt: expect.stringMatching(/Z$/),
      revision: 1,
      __typename: 'Product',
    },
  });
});

test('a rating is shown once there is one', async () => {
  await rate(running, 2, 5, 5, 5, 4);
  const { data } = await ask(running, '{ productById(id: 2) { rating ratingCount } }');
  expect(data).toEqual({ productById: { rating: 4.75, ratingCount: 4 } });
});

test('products are a plain list, filtered, searched and sorted', async () => {
  const list = async (args: string) => {
    const { data } = await ask(running, `{ products${args} { name price } }`);
    return (data as { products: { name: string; price: number }[] }).products;
  };
  expect(await list('')).toEqual([
    { name: 'Oak desk', price: 249 },
    { name: 'Zebra rug', price: 89.99 },
    { name: 'Lamp', price: 24900 },
  ]);
  const names = async (args: string) => (await list(args)).map(({ name }) => name);
  expect(await names('(first: 2)')).toEqual(['Oak desk', 'Zebra rug']);
  expect(await names('(category: "furniture", sort: NAME)')).toEqual(['Oak desk', 'Zebra rug']);
  expect(await names('(search: "solid DESK")')).toEqual(['Oak desk']);
  expect(await names('(sort: NEWEST)')).toEqual(['Lamp', 'Zebra rug', 'Oak desk']);
  expect(await names('(sort: PRICE)')).toEqual(['Zebra rug', 'Oak desk', 'Lamp']);
  expect(await names('(sort: RATING)')).toEqual(['Zebra rug', 'Oak desk', 'Lamp']);
  expect(await names('(category: null, search: null, sort: null, first: null)')).toHaveLength(3);
});

test('both endpoints answer, POST and GET', async () => {
  const query = '{ productById(id: 3) { name } }';
  const answer = { data: { productById: { name: 'Lamp' } } };
  for (const path of ['/graphql', '/query']) {
    const post = await fetch(running.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query }),
    });
    expect([post.status, await post.json()]).toEqual([200, answer]);
    const get = await fetch(`${running.url}${path}?query=${encodeURIComponent(query)}`);
    expect([get.status, await get.json()]).toEqual([200, answer]);
  }
});

test('an unknown product is null', async () => {
  const { data, errors } = await ask(
    running,
    '{ a: productById(id: 999) { id } b: productById(id: 0) { id } c: productById(id: -1) { id } d: productById { id } e: productById(id: null) { id } }',
  );
  expect(errors).toBeUndefined();
  expect(data).toEqual({ a: null, b: null, c: null, d: null, e: null });
});

test('categories are told by name', async () => {
  const { data } = await ask(running, '{ productCategories }');
  expect(data).toEqual({ productCategories: ['furniture', 'lighting'] });
});

describe('a connection', () => {
  const page = `query ($after: String, $sort: ProductSort) { productsConnection(first: 2, after: $after, sort: $sort) {
    edges { cursor node { name } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount
  } }`;
  interface Page {
    edges: { cursor: string; node: { name: string } }[];
    pageInfo: {
      hasNextPage: boolean;
      hasPreviousPage: boolean;
      startCursor: string | null;
      endCursor: string | null;
    };
    totalCount: number;
  }
  const pageOf = async (variables: object) => {
    const { data, errors } = await ask(running, page, { ...variables });
    expect(errors).toBeUndefined();
    return data?.productsConnection as Page;
  };

  test.each(['ID', 'NAME', 'PRICE', 'PRICE_DESC', 'NEWEST', 'RATING'])(
    'goes page by page, sorted by %s',
    async (sort) => {
      const first = await pageOf({ sort });
      expect(first.totalCount).toBe(3);
      expect(first.edges).toHaveLength(2);
      expect(first.pageInfo).toEqual({
        hasNextPage: true,
        hasPreviousPage: false,
        startCursor: first.edges[0]?.cursor,
        endCursor: first.edges[1]?.cursor,
      });
      const second = await pageOf({ sort, after: first.pageInfo.endCursor });
      expect(second.pageInfo).toMatchObject({ hasNextPage: false, hasPreviousPage: true });
      const names = [...first.edges, ...second.edges].map(({ node }) => node.name);
      expect(names.toSorted()).toEqual(['Lamp', 'Oak desk', 'Zebra rug']);
      // Any product's cursor will do, not only the last one's.
      const shifted = await pageOf({ sort, after: first.pageInfo.startCursor });
      expect(shifted.edges.map(({ node }) => node.name)).toEqual(names.slice(1));
    },
  );

  test('of nothing is empty', async () => {
    const { data } = await ask(
      running,
      '{ productsConnection(search: "nothing") { edges { cursor } pageInfo { hasNextPage startCursor endCursor } totalCount } }',
    );
    expect(data).toEqual({
      productsConnection: {
        edges: [],
        pageInfo: { hasNextPage: false, startCursor: null, endCursor: null },
        totalCount: 0,
      },
    });
  });

  test('refuses a cursor of another list, naming it', async () => {
    const { pageInfo } = await pageOf({ sort: 'NAME' });
    const { errors } = await ask(running, page, { sort: 'ID', after: pageInfo.endCursor });
    expect(errors).toMatchObject([
      { extensions: { code: 'INVALID_ARGUMENT', details: [{ field: 'after', error: expect.any(String) }] } },
    ]);
  });
});

describe('mutations', () => {
  const create =
    'mutation ($input: CreateProductInput!) { createProduct(input: $input) { id name price currency revision } }';
  const update = `mutation ($id: Int!, $input: UpdateProductInput!, $revision: Int) {
    updateProduct(id: $id, input: $input, revision: $revision) { id name price currency revision description } }`;

  async function created(input: object): Promise<{ id: number; price: number; currency: string }> {
    const { data, errors } = await ask(running, create, { input });
    expect(errors).toBeUndefined();
    return data?.createProduct as { id: number; price: number; currency: string };
  }

  test('create, change and delete, as the RPCs do', async () => {
    const { id } = await created({ name: 'Chair', price: 19.99 });
    expect((await client.getProduct({ id })).product).toMatchObject({
      name: 'Chair',
      price: 1999n,
      currency: 'USD',
      revision: 1n,
    });
    const { data } = await ask(running, update, {
      id,
      input: { price: 24.5, description: 'With arms.' },
      revision: 1,
    });
    expect(data?.updateProduct).toEqual({
      id,
      name: 'Chair',
      price: 24.5,
      currency: 'USD',
      revision: 2,
      description: 'With arms.',
    });
    const remove = `mutation { deleteProduct(id: ${id}) }`;
    expect((await ask(running, remove)).data).toEqual({ deleteProduct: true });
    expect((await ask(running, remove)).data).toEqual({ deleteProduct: true });
    expect((await ask(running, `{ productById(id: ${id}) { id } }`)).data).toEqual({ productById: null });
  });

  test('take prices in the product’s currency', async () => {
    const { id } = await created({ name: 'Teapot', price: 3500, currency: 'JPY' });
    expect((await client.getProduct({ id })).product?.price).toBe(3500n);
    const change = async (input: object) => (await ask(running, update, { id, input })).data?.updateProduct;
    expect(await change({ price: 4000 })).toMatchObject({ price: 4000, currency: 'JPY' });
    expect(await change({ price: 1.234, currency: 'KWD' })).toMatchObject({ price: 1.234, currency: 'KWD' });
    expect((await client.getProduct({ id })).product?.price).toBe(1234n);
    expect(await change({ price: 0.1 })).toMatchObject({ price: 0.1 });
  });

  test('clear a text with null', async () => {
    const { id } = await created({ name: 'Vase', price: 1, description: 'Blue.' });
    const { data } = await ask(running, update, { id, input: { description: null } });
    expect(data?.updateProduct).toMatchObject({ description: '', price: 1, revision: 2 });
  });

  test('are repeated without harm under an Idempotency-Key', async () => {
    const send = () =>
      ask(running, create, { input: { name: 'Once only', price: 5 } }, { 'idempotency-key': 'gql-1' });
    const first = await send();
    expect(await send()).toEqual(first);
    expect((await client.listProducts({ search: 'once only' })).products).toHaveLength(1);
    const other = await ask(
      running,
      create,
      { input: { name: 'Other', price: 5 } },
      { 'idempotency-key': 'gql-1' },
    );
    expect(other.errors).toMatchObject([{ extensions: { code: 'ALREADY_EXISTS' } }]);
  });

  test.each([
    [{ name: '', price: 1 }, 'input.name'],
    [{ name: 'x'.repeat(201), price: 1 }, 'input.name'],
    [{ name: 'a', price: -1 }, 'input.price'],
    [{ name: 'a', price: 1.005 }, 'input.price'],
    [{ name: ' \u3000\u200b', price: 1 }, 'input.name'],
    [{ name: 'a', price: 1e-9 }, 'input.price'],
    [{ name: 'a', price: 1e300 }, 'input.price'],
    [{ name: 'a', price: 10_000_001 }, 'input.price'],
    [{ name: 'a', price: 0.5, currency: 'JPY' }, 'input.price'],
    [{ name: 'a', price: 1, currency: 'dollars' }, 'input.currency'],
    [{ name: 'a\u0000', price: 1 }, 'input.name'],
    [{ name: 'a', price: 1, thumbnail: 'not a url' }, 'input.thumbnail'],
  ])('refuse what breaks a rule, naming the field, %#', async (input, field) => {
    const { status, errors } = await ask(running, create, { input });
    expect(status).toBe(200);
    expect(errors).toMatchObject([
      { path: ['createProduct'], extensions: { code: 'INVALID_ARGUMENT', details: [{ field }] } },
    ]);
  });

  test.each([
    ['USD', 10_000_000],
    ['JPY', 1_000_000_000],
    ['KWD', 1_000_000],
  ])('tell the highest price in units of %s', async (currency, highest) => {
    expect(await created({ name: 'Yacht', price: highest, currency })).toMatchObject({ price: highest });
    const { errors } = await ask(running, create, { input: { name: 'a', price: highest + 1, currency } });
    expect(errors?.[0]?.extensions.details).toEqual([
      { field: 'input.price', error: `must be from 0 to ${highest} ${currency}` },
    ]);
  });

  test('look at the revision whenever one is given', async () => {
    const { id } = await created({ name: 'Bench', price: 1 });
    for (const revision of [0, -1]) {
      for (const input of [{ name: 'changed' }, { price: 2 }]) {
        expect((await ask(running, update, { id, input, revision })).errors).toMatchObject([
          { extensions: { code: 'INVALID_ARGUMENT', details: [{ field: 'revision' }] } },
        ]);
      }
    }
    expect((await client.getProduct({ id })).product).toMatchObject({ name: 'Bench', revision: 1n });
    const { data } = await ask(running, update, { id, input: { name: 'Pew' }, revision: null });
    expect(data?.updateProduct).toMatchObject({ name: 'Pew', revision: 2 });
  });

  test('refuse changes of nothing, of no product, and of another revision', async () => {
    const { id } = await created({ name: 'Stool', price: 1 });
    const codeOf = async (variables: Record<string, unknown>) =>
      (await ask(running, update, variables)).errors?.map(({ extensions }) => extensions.code);
    expect(await codeOf({ id, input: {} })).toEqual(['INVALID_ARGUMENT']);
    expect(await codeOf({ id, input: { price: null } })).toEqual(['INVALID_ARGUMENT']);
    expect(await codeOf({ id: 999_999, input: { name: 'x' } })).toEqual(['NOT_FOUND']);
    expect(await codeOf({ id: 999_999, input: { price: 1 } })).toEqual(['NOT_FOUND']);
    expect(await codeOf({ id, input: { name: 'x' }, revision: 7 })).toEqual(['ABORTED']);
    expect(await codeOf({ id, input: { name: 'x' }, revision: -7 })).toEqual(['INVALID_ARGUMENT']);
  });

  test('are not made by GET', async () => {
    const query = encodeURIComponent('mutation { deleteProduct(id: 1) }');
    const response = await fetch(`${running.url}/graphql?query=${query}`);
    expect(response.status).toBe(405);
    expect((await client.getProduct({ id: 1 })).product?.name).toBe('Oak desk');
  });
});
