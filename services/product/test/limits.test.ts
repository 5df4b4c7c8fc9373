import { createConnection } from 'node:net';
import type { TestService } from '@tradewind/testing/service';
import { getIntrospectionQuery } from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LIMITS } from '../graphql/limits.ts';
import { ask, clientsOf, type GraphqlAnswer, startProduct } from './market.ts';

let running: TestService;
beforeAll(async () => {
  running = await startProduct();
  await clientsOf(running.url).grpc.createProduct({ name: 'Oak desk', price: 100n });
});
afterAll(() => running[Symbol.asyncDispose]());

const JSON_TYPE = { 'content-type': 'application/json' };

async function post(body: string, headers: Record<string, string> = JSON_TYPE, path = '/graphql') {
  const response = await fetch(running.url + path, { method: 'POST', headers, body });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text };
}

/** What is refused gets an answer in GraphQL's shape, with a code, and nothing of the inside. */
function expectRefusal({ text }: { text: string }, code = 'INVALID_ARGUMENT'): void {
  const { errors } = JSON.parse(text) as GraphqlAnswer;
  expect(errors?.map(({ extensions }) => extensions.code)).toContain(code);
  expect(text).not.toMatch(/\.ts:|\.js:|node_modules|stack|SELECT /);
}

describe('a query that asks for too much is refused before it runs', () => {
  const fields =
    'id name description price currency category brand thumbnail rating createdAt updatedAt revision';
  const aliases = (count: number) =>
    Array.from({ length: count }, (_, n) => `p${n}: productById(id: 1) { id }`).join(' ');
  let nested = 'name';
  for (let depth = 0; depth < 12; depth++) nested = `... on Product { ${nested} }`;

  test.each([
    ['depth', `{ products { ${nested} } }`, /depth limit of 8/],
    ['aliases', `{ ${aliases(LIMITS.aliases + 1)} }`, /Aliases limit of 30/],
    [
      'aliases in a fragment',
      `{ ...F } fragment F on Query { ${aliases(LIMITS.aliases + 1)} }`,
      /Aliases limit of 30/,
    ],
    [
      'directives',
      `{ products { id ${'@skip(if: false) '.repeat(40)} } }`,
      /(Directives limit|can only be used once)/,
    ],
    ['tokens', `{ products { ${'id '.repeat(LIMITS.tokens)} } }`, /Token limit of 2000/],
    [
      'introspection',
      `{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }`,
      /introspection depth/i,
    ],
    [
      'a fragment in itself',
      '{ products { ...A } } fragment A on Product { ...B } fragment B on Product { ...A }',
      /Cannot spread fragment/,
    ],
  ])('%s', async (_, query, message) => {
    const answer = await post(JSON.stringify({ query }));
    expectRefusal(answer);
    expect(answer.text).toMatch(message);
    expect(answer.text).not.toContain('"data"');
  });

  test('cost, whether the page’s size stands in the query or in a variable', async () => {
    const list = (alias: string, first: string) => `${alias}: products(first: ${first}) { ${fields} }`;
    const five = ['a', 'b', 'c', 'd', 'e'];
    const affordable = await ask(running, `{ ${list('a', '1000')} ${list('b', '1000')} }`);
    expect(affordable.errors).toBeUndefined();
    const refusal = [
      {
        message: expect.stringMatching(/costs 60005, more than 50000/),
        extensions: { code: 'RESOURCE_EXHAUSTED' },
      },
    ];
    const literal = await ask(running, `{ ${five.map((alias) => list(alias, '1000')).join(' ')} }`);
    expect(literal.errors).toMatchObject(refusal);
    const query = `query ($n: Int) { ${five.map((alias) => list(alias, '$n')).join(' ')} }`;
    expect((await ask(running, query, { n: 1_000 })).errors).toMatchObject(refusal);
    expect((await ask(running, query, { n: 10 })).errors).toBeUndefined();
    const byDefault = await ask(
      running,
      `{ ${five.map((alias) => `${alias}: products { ${fields} }`).join(' ')} }`,
    );
    expect(byDefault.errors).toMatchObject(refusal);
    // In one HTTP request the operations share what it may cost.
    const batch = await post(JSON.stringify(five.map(() => ({ query: `{ ${list('a', '1000')} }` }))));
    expect(batch.text.match(/RESOURCE_EXHAUSTED/g)).toHaveLength(1);
  });

  test('too many operations at once', async () => {
    const operation = { query: '{ productById(id: 1) { id } }' };
    const ten = await post(JSON.stringify(Array(LIMITS.batch).fill(operation)));
    expect(JSON.parse(ten.text)).toHaveLength(LIMITS.batch);
    const eleven = await post(JSON.stringify(Array(LIMITS.batch + 1).fill(operation)));
    expect(eleven.status).toBe(413);
    expectRefusal(eleven);
  });

  test('but the introspection of tools is answered', async () => {
    const { data, errors } = await ask(running, getIntrospectionQuery());
    expect(errors).toBeUndefined();
    expect(data).toHaveProperty('__schema.types');
  });
});

describe('bad input', () => {
  test.each([
    ['not JSON', '{"query": '],
    ['nothing', ''],
    ['null', 'null'],
    ['a number', '5'],
    ['no query', '{}'],
    ['a query of a wrong type', '{"query": 5}'],
    ['an unknown parameter', '{"query": "{ productCategories }", "nonsense": 1}'],
    ['variables of a wrong type', '{"query": "{ productCategories }", "variables": "x"}'],
    ['an unknown operation', '{"query": "query A { productCategories }", "operationName": "B"}'],
    ['a name for an operation without', '{"query": "{ productCategories }", "operationName": "B"}'],
    ['bad syntax', '{"query": "{ products { "}'],
    ['an unknown field', '{"query": "{ products { colour } }"}'],
    ['a missing variable', '{"query": "query ($id: Int!) { productById(id: $id) { id } }"}'],
    [
      'a variable of a wrong type',
      '{"query": "query ($id: Int) { productById(id: $id) { id } }", "variables": {"id": "one"}}',
    ],
    ['a fraction for an id', '{"query": "{ productById(id: 1.5) { id } }"}'],
    ['an id that does not fit', '{"query": "{ productById(id: 3000000000) { id } }"}'],
    ['an unknown order', '{"query": "{ products(sort: COLOUR) { id } }"}'],
    ['a page of nothing', '{"query": "{ products(first: 0) { id } }"}'],
    ['a negative page', '{"query": "{ productsConnection(first: -1) { totalCount } }"}'],
    ['a page too large', '{"query": "{ products(first: 1001) { id } }"}'],
    ['a huge page', '{"query": "{ products(first: 2147483647) { id } }"}'],
    ['NUL in a category', '{"query": "{ products(category: \\"a\\\\u0000\\") { id } }"}'],
    ['a search too long', JSON.stringify({ query: `{ products(search: "${'x'.repeat(201)}") { id } }` })],
    ['a batch of nonsense', '[1, null, "x"]'],
  ])('%s', async (_, body) => {
    const answer = await post(body);
    expect(answer.status).toBeLessThan(500);
    expect(answer.text).toMatch(/"code":"(INVALID_ARGUMENT|RESOURCE_EXHAUSTED)"/);
    expect(answer.text).not.toMatch(/INTERNAL|\.ts:|\.js:|node_modules|stack/);
  });

  test('names the argument that breaks a rule', async () => {
    const fieldsOf = async (query: string) =>
      (await ask(running, query)).errors?.flatMap(({ extensions }) =>
        (extensions.details as { field: string }[]).map(({ field }) => field),
      );
    expect(await fieldsOf('{ products(first: 0) { id } }')).toEqual(['first']);
    expect(await fieldsOf('{ products(first: 1001) { id } }')).toEqual(['first']);
    expect(await fieldsOf(`{ products(search: "${'x'.repeat(201)}") { id } }`)).toEqual(['search']);
    expect(await fieldsOf('{ productsConnection(after: "x") { totalCount } }')).toEqual(['after']);
  });

  test('in the address', async () => {
    const get = (search: string) => fetch(`${running.url}/graphql${search}`);
    for (const search of [
      '',
      '?query=',
      '?query=%7B',
      '?query={productCategories}&variables=x',
      '?query={productCategories}&variables=5',
      '?query[]=x',
    ]) {
      const response = await get(search);
      const text = await response.text();
      expect([search, response.status < 500]).toEqual([search, true]);
      expectRefusal({ text });
    }
  });

  test('that is not JSON is 400, whatever the answer may look like', async () => {
    for (const body of ['', '{', 'nonsense', '{"query": "{ productCategories }"']) {
      const answer = await post(body);
      expect([body, answer.status]).toEqual([body, 400]);
      expectRefusal(answer, 'INVALID_ARGUMENT');
    }
  });

  test('of another content type is refused: pages of other origins can send those without asking', async () => {
    const query = 'mutation { deleteProduct(id: 1) }';
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'application/graphql',
    ]) {
      const answer = await post(
        type.includes('form-urlencoded') ? `query=${encodeURIComponent(query)}` : query,
        { 'content-type': type },
      );
      expect([type, answer.status]).toEqual([type, 415]);
      expectRefusal(answer);
    }
    const preflight = await fetch(`${running.url}/graphql`, {
      method: 'OPTIONS',
      headers: { origin: 'https://elsewhere.example', 'access-control-request-method': 'POST' },
    });
    expect(preflight.headers.get('access-control-allow-origin')).toBeNull();
    expect((await ask(running, '{ productById(id: 1) { name } }')).data).toEqual({
      productById: { name: 'Oak desk' },
    });
  });

  test('of 10 MB is refused with 413', async () => {
    const answer = await post(
      JSON.stringify({ query: '{ productCategories }', variables: { x: 'x'.repeat(10_000_000) } }),
    ).catch(() => undefined);
    // The connection may be closed while the rest is still being sent.
    if (answer) {
      expect(answer.status).toBe(413);
      expectRefusal(answer, 'RESOURCE_EXHAUSTED');
    }
    expect((await ask(running, '{ productCategories }')).status).toBe(200);
  });

  test('nested ten thousand deep', async () => {
    const answer = await post(
      `{"query": "{ productCategories }", "variables": ${'['.repeat(10_000)}${']'.repeat(10_000)}}`,
    );
    expect(answer.status).toBeLessThan(500);
    const query = `{ products${'{ products'.repeat(5_000)} }`;
    expectRefusal(await post(JSON.stringify({ query })));
  });

  test('that never ends delays nobody', async () => {
    const { port, hostname } = new URL(running.url);
    const socket = createConnection({ port: Number(port), host: hostname });
    socket.on('error', () => undefined);
    socket.write(
      'POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{',
    );
    expect((await ask(running, '{ productCategories }')).status).toBe(200);
    socket.destroy();
  });

  test('by another method or at another path', async () => {
    for (const path of ['/graphql', '/query', '/graphql/']) {
      for (const method of ['DELETE', 'PUT', 'PATCH', 'OPTIONS']) {
        const body = method === 'PUT' ? 'no JSON' : null;
        const answer = await fetch(running.url + path, { method, body });
        expect([method, answer.status, answer.headers.get('allow')]).toEqual([
          method,
          405,
          'GET, HEAD, POST',
        ]);
        expectRefusal({ text: await answer.text() });
      }
    }
    expect(
      (await fetch(`${running.url}/graphqls`, { method: 'POST', headers: JSON_TYPE, body: '{}' })).status,
    ).toBe(404);
    const query = '{"query": "{ productCategories }"}';
    const unacceptable = await post(query, { ...JSON_TYPE, accept: 'image/png' });
    expect(unacceptable.status).toBe(406);
    expect(unacceptable.headers.get('content-type')).toContain('application/json');
    expectRefusal(unacceptable);
  });

  test('is not a slash at the end of the path', async () => {
    for (const path of ['/graphql/', '/query/']) {
      const answer = await post('{"query": "{ productCategories }"}', JSON_TYPE, path);
      expect([answer.status, JSON.parse(answer.text)]).toEqual([200, { data: { productCategories: [] } }]);
      const get = await fetch(`${running.url}${path}?query={productCategories}`);
      expect(await get.json()).toEqual({ data: { productCategories: [] } });
    }
  });
});

test('a failure inside says nothing of the inside', async () => {
  await using broken = await startProduct();
  await broken.database.pool.query('ALTER TABLE product RENAME TO hidden');
  const { status, data, errors } = await ask(broken, '{ products { id } }');
  expect([status, data]).toEqual([200, null]);
  expect(errors).toMatchObject([
    { message: 'internal error', path: ['products'], extensions: { code: 'INTERNAL' } },
  ]);
  expect(JSON.stringify(errors)).not.toMatch(/product_|hidden|relation|pg|\.ts/);
});
