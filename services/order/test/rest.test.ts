import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Answer, startOrder, type TestOrder } from './order-service.ts';

let order: TestOrder;
beforeAll(async () => {
  order = await startOrder({ listen: false });
});
afterAll(() => order?.[Symbol.asyncDispose]());

const short = { product_id: 1, total_price: 10000, total_quantity: 1 };
const unknownId = '01890a5d-ac96-774b-bcce-b302099a8057';

describe('POST /api/v1/orders', () => {
  test('the short form becomes an order of one line', async () => {
    const { status, headers, text, json } = await order.place(
      '{"product_id":1,"total_price":10000,"total_quantity":1}',
    );
    expect(status).toBe(201);
    expect(headers.get('location')).toBe(`/api/v1/orders/${json.id}`);
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(json.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    const { id, created_at } = json;
    expect(text).toBe(
      `{"id":"${id}","customer_id":"","status":"PENDING","is_canceled":false,"reason":"",` +
        `"lines":[{"product_id":1,"quantity":1,"unit_price":10000,"total_price":10000}],"total_price":10000,"currency":"USD",` +
        `"created_at":"${created_at}","updated_at":"${created_at}","revision":1}`,
    );
    expect(created_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect((await order.get(`/api/v1/orders/${id}`)).text).toBe(text);
  });

  test('lines, with who orders and in which currency', async () => {
    const { status, json } = await order.place({
      lines: [
        { product_id: 1, quantity: 2, unit_price: 5000 },
        { product_id: 1, quantity: 3, total_price: 100 },
        { product_id: 7, quantity: 1, unit_price: 0, total_price: 0 },
      ],
      total_price: 10100,
      customer_id: 'c-7',
      currency: 'EUR',
    });
    expect(status).toBe(201);
    expect(json).toMatchObject({
      customer_id: 'c-7',
      currency: 'EUR',
      total_price: 10100,
      lines: [
        { product_id: 1, quantity: 2, unit_price: 5000, total_price: 10000 },
        { product_id: 1, quantity: 3, unit_price: null, total_price: 100 },
        { product_id: 7, quantity: 1, unit_price: 0, total_price: 0 },
      ],
    });
  });

  test.each([
    ['text/plain', true],
    ['text/plain;q=0.9, application/json;q=0.5', true],
    ['text/plain, */*', true],
    ['TEXT/PLAIN', true],
    ['application/json, text/plain, */*', false],
    ['application/json', false],
    ['*/*', false],
  ])('for Accept: %s', async (accept, plain) => {
    const answer = await order.place(short, { accept });
    expect(answer.status).toBe(201);
    const path = answer.headers.get('location') ?? '';
    if (plain) {
      expect(answer.text).toBe('Order created');
      expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    } else expect(answer.json.id).toBe(path.split('/').at(-1));
    expect((await order.get(path)).status).toBe(200);
  });

  test('the highest money and a thousand lines are fine; fields that nobody knows are ignored', async () => {
    const most = await order.place({ ...short, total_price: Number.MAX_SAFE_INTEGER, colour: 'red' });
    expect(most.json).toMatchObject({
      total_price: 9007199254740991,
      lines: [{ unit_price: 9007199254740991 }],
    });
    const line = { product_id: 1, quantity: 1, unit_price: 1, note: {} };
    const long = await order.place({ lines: Array.from({ length: 1000 }, () => line) });
    expect(long.json).toMatchObject({ total_price: 1000 });
    expect(long.json.lines).toHaveLength(1000);
  });
});

const line = { product_id: 1, quantity: 1, unit_price: 1 };
const wrong = (body: unknown, ...fields: string[]) => [body, fields] as const;

describe('bad input is 400 and names the field', () => {
  test.each([
    wrong({}, 'product_id'),
    wrong({ product_id: 1, total_price: 1 }, 'total_quantity'),
    wrong({ product_id: 1, total_quantity: 1 }, 'total_price'),
    wrong({ ...short, product_id: '1' }, 'product_id'),
    wrong({ ...short, product_id: 1.5 }, 'product_id'),
    wrong({ ...short, product_id: 0 }, 'product_id'),
    wrong({ ...short, product_id: -1 }, 'product_id'),
    wrong({ ...short, product_id: 2 ** 31 }, 'product_id'),
    wrong({ ...short, product_id: null }, 'product_id'),
    wrong({ ...short, total_quantity: 0 }, 'total_quantity'),
    wrong({ ...short, total_quantity: -3 }, 'total_quantity'),
    wrong({ ...short, total_quantity: 1_000_001 }, 'total_quantity'),
    wrong({ ...short, total_price: -1 }, 'total_price'),
    wrong({ ...short, total_price: 1e300 }, 'total_price'),
    wrong('{"product_id":1,"total_quantity":1,"total_price":9007199254740993}', 'total_price'),
    wrong({ ...short, total_price: '10000' }, 'total_price'),
    wrong({ ...short, total_price: true }, 'total_price'),
    wrong({ ...short, customer_id: 'c'.repeat(129) }, 'customer_id'),
    wrong({ ...short, customer_id: 7 }, 'customer_id'),
    wrong({ ...short, customer_id: 'a\u0000b' }, 'customer_id'),
    wrong({ ...short, currency: 'usd' }, 'currency'),
    wrong({ ...short, currency: 'DOLLARS' }, 'currency'),
    wrong({ ...short, product_id: 'a', total_price: -1 }, 'product_id', 'total_price'),
    wrong({ ...short, lines: [line] }, 'product_id'),
    wrong({ lines: [] }, 'lines'),
    wrong({ lines: 'all' }, 'lines'),
    wrong({ lines: [null] }, 'lines[0]'),
    wrong({ lines: [line, { quantity: 1, unit_price: 1 }] }, 'lines[1].product_id'),
    wrong({ lines: [{ product_id: 1, unit_price: 1 }] }, 'lines[0].quantity'),
    wrong({ lines: [{ ...line, quantity: 0 }] }, 'lines[0].quantity'),
    wrong({ lines: [{ ...line, quantity: 1e10 }] }, 'lines[0].quantity'),
    wrong({ lines: [{ ...line, unit_price: 2 ** 53 }] }, 'lines[0].unit_price'),
    wrong({ lines: [{ product_id: 1, quantity: 1 }] }, 'lines[0]'),
    wrong({ lines: [{ ...line, total_price: 2 }] }, 'lines[0].total_price'),
    wrong({ lines: [line], total_price: 2 }, 'total_price'),
    wrong(
      { lines: Array.from({ length: 10 }, () => ({ product_id: 1, quantity: 1, total_price: 2 ** 52 })) },
      'lines',
    ),
    wrong({ lines: Array.from({ length: 1001 }, () => line) }, 'lines'),
    wrong({ lines: Array.from({ length: 10_000 }, () => line) }, 'lines'),
  ])('%j', async (body, fields) => {
    const { status, json, text } = await order.place(body);
    expect(
      { status, fields: json.details.map(({ field }: { field: string }) => field) },
      text.slice(0, 500),
    ).toEqual({
      status: 400,
      fields,
    });
    expect(json).toEqual({
      status: 400,
      message: 'There is some problem with the data you submitted.',
      details: json.details,
      trace_id: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
    for (const { error } of json.details) expect(error).not.toBe('');
  });

  test.each([
    ['malformed JSON', '{"product_id":1', 400],
    ['no JSON object', '[1]', 400],
    ['a bare null', 'null', 400],
    ['no body', undefined, 400],
    ['more than 1 MiB', `{"customer_id":"${'c'.repeat(10_000_000)}"}`, 413],
  ])('%s', async (_, body, status) => {
    expect(shapeOf(await order.place(body))).toBe(status);
  });

  test.each([
    [
      'another content type',
      () => order.place('product_id=1', { 'content-type': 'application/x-www-form-urlencoded' }),
      415,
    ],
    ['an unknown route', () => order.get('/api/v1/nothing'), 404],
    ['an unknown method', () => order.send('DELETE', '/api/v1/orders'), 405],
    [
      'a method that an order does not have',
      () => order.send('PATCH', `/api/v1/orders/${unknownId}`, {}),
      405,
    ],
    ['an order that is not there', () => order.get(`/api/v1/orders/${unknownId}`), 404],
    ['an id that is none', () => order.get('/api/v1/orders/7'), 400],
    ['cancelling what is not there', () => order.send('POST', `/api/v1/orders/${unknownId}/cancel`), 404],
    ['cancelling what is none', () => order.send('POST', '/api/v1/orders/x/cancel'), 400],
    ['the saga of an order that is not there', () => order.get(`/api/v1/orders/${unknownId}/saga`), 404],
    ['the saga of what is none', () => order.get('/api/v1/orders/7/saga'), 400],
    [
      'a method that a saga does not have',
      () => order.send('POST', `/api/v1/orders/${unknownId}/saga`, {}),
      405,
    ],
    ['a page of nothing', () => order.get('/api/v1/orders?page_size=0'), 400],
    ['a page too large', () => order.get('/api/v1/orders?page_size=1001'), 400],
    ['a page in hexadecimal', () => order.get('/api/v1/orders?page_size=0x10'), 400],
    ['a page with an exponent', () => order.get('/api/v1/orders?page_size=1e2'), 400],
    ['a page in blanks', () => order.get('/api/v1/orders?page_size=%205%20'), 400],
    [
      'half a surrogate pair',
      () => order.place('{"product_id":1,"total_price":1,"total_quantity":1,"customer_id":"a\\ud800b"}'),
      400,
    ],
    ['a page of words', () => order.get('/api/v1/orders?page_size=many'), 400],
    ['a foreign page token', () => order.get('/api/v1/orders?page_token=abc'), 400],
    ['a customer that can not be', () => order.get('/api/v1/orders?customer_id=%00'), 400],
    ['an unknown status', () => order.get('/api/v1/orders?status=SHIPPED'), 400],
    ['an empty idempotency key', () => order.place(short, { 'idempotency-key': '' }), 400],
    ['a key that is too long', () => order.place(short, { 'idempotency-key': 'k'.repeat(256) }), 400],
    ['a key outside of ASCII', () => order.place(short, { 'idempotency-key': 'ké' }), 400],
  ])('%s', async (_, call, status) => {
    expect(shapeOf(await call())).toBe(status);
  });

  test('a refused page token and key are named', async () => {
    const fieldsOf = ({ json }: Answer) => json.details.map(({ field }: { field: string }) => field);
    expect(fieldsOf(await order.get('/api/v1/orders?page_token=abc'))).toEqual(['page_token']);
    expect(fieldsOf(await order.place(short, { 'idempotency-key': 'k'.repeat(256) }))).toEqual([
      'Idempotency-Key',
    ]);
  });

  test('a field that would poison a prototype is one that nobody knows', async () => {
    const body =
      '{"__proto__":{"x":1},"constructor":{"prototype":{}},"product_id":1,"total_price":1,"total_quantity":1}';
    expect((await order.place(body)).status).toBe(201);
  });

  test('a service that was told all this works as before', async () => {
    expect((await order.place(short)).status).toBe(201);
  });
});

/** The status of an answer that must have the contract's error shape and nothing of our insides. */
function shapeOf({ status, json, text }: Answer): number {
  expect(json).toEqual({
    status,
    message: expect.any(String),
    details: expect.any(Array),
    trace_id: expect.stringMatching(/^[0-9a-f]{32}$/),
  });
  expect(text).not.toMatch(/node_modules|\.ts:|postgres:\/\/|SELECT|FST_/);
  return status;
}

describe('an Idempotency-Key', () => {
  const count = async () =>
    Number((await order.database.pool.query('SELECT count(*) FROM orders')).rows[0].count);

  test('gives the first answer again, though the order moved on, and creates nothing', async () => {
    const headers = { 'idempotency-key': 'first' };
    const first = await order.place(short, headers);
    await order.send('POST', `${first.headers.get('location')}/cancel`);
    const before = await count();
    const again = await order.place(
      '{ "total_quantity": 1, "total_price": 10000, "product_id": 1, "note": "again" }',
      headers,
    );
    expect(again.status).toBe(201);
    expect(again.text).toBe(first.text);
    expect(again.headers.get('location')).toBe(first.headers.get('location'));
    expect(await count()).toBe(before);
  });

  test('is refused for another order', async () => {
    const headers = { 'idempotency-key': 'taken' };
    await order.place(short, headers);
    expect(shapeOf(await order.place({ ...short, total_price: 1 }, headers))).toBe(409);
  });

  test('is not spent by what fails', async () => {
    const headers = { 'idempotency-key': 'failed' };
    expect((await order.place({ ...short, total_quantity: 0 }, headers)).status).toBe(400);
    expect((await order.place(short, headers)).status).toBe(201);
  });

  test('makes one order of many requests at the same time', async () => {
    const before = await count();
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, n) => order.place(short, { 'idempotency-key': `twin-${n % 4}` })),
    );
    expect(new Set(answers.map(({ json }) => json.id)).size).toBe(4);
    expect(await count()).toBe(before + 4);
  });

  test('of a cancellation is not that of an order', async () => {
    const headers = { 'idempotency-key': 'both' };
    const { json } = await order.place(short, headers);
    const cancel = () => order.send('POST', `/api/v1/orders/${json.id}/cancel`, undefined, headers);
    const first = await cancel();
    expect(first.json).toMatchObject({ status: 'CANCELED', revision: 2 });
    expect((await cancel()).text).toBe(first.text);
  });
});

describe('GET /api/v1/orders', () => {
  test('gives pages, the newest first, each order once', async () => {
    const customer_id = 'pages';
    const ids: string[] = [];
    for (let n = 0; n < 7; n++) ids.unshift((await order.place({ ...short, customer_id })).json.id);
    const seen: string[] = [];
    let token = '';
    do {
      const page = await order.get(
        `/api/v1/orders?page_size=3&customer_id=${customer_id}&page_token=${token}`,
      );
      expect(page.status).toBe(200);
      seen.push(...page.json.orders.map(({ id }: { id: string }) => id));
      token = page.json.next_page_token;
    } while (token);
    expect(seen).toEqual(ids);
  });

  test('filters by status; nothing is an empty page', async () => {
    const { json } = await order.place(short);
    await order.send('POST', `/api/v1/orders/${json.id}/cancel`);
    const { json: page } = await order.get('/api/v1/orders?status=CANCELED');
    expect(page.orders.map(({ id }: { id: string }) => id)).toContain(json.id);
    expect(new Set(page.orders.map(({ status }: { status: string }) => status))).toEqual(
      new Set(['CANCELED']),
    );
    expect((await order.get('/api/v1/orders?customer_id=nobody')).text).toBe(
      '{"orders":[],"next_page_token":""}',
    );
  });

  test('at most 1,000 of them, 100 when nobody says', async () => {
    const { json } = await order.get('/api/v1/orders?page_size=1000');
    expect(json.orders.length).toBeLessThanOrEqual(1000);
    const { rows } = await order.database.pool.query('SELECT count(*) FROM orders');
    await Promise.all(
      Array.from({ length: Math.max(0, 101 - Number(rows[0].count)) }, () => order.place(short)),
    );
    expect((await order.get('/api/v1/orders')).json.orders).toHaveLength(100);
  });
});

test('cancelling answers the order, also the second time', async () => {
  const { json } = await order.place(short);
  const first = await order.send('POST', `/api/v1/orders/${json.id}/cancel`);
  expect(first.status).toBe(200);
  expect(first.json).toMatchObject({
    id: json.id,
    status: 'CANCELED',
    is_canceled: true,
    reason: 'canceled by the customer',
    revision: 2,
  });
  const second = await order.send('POST', `/api/v1/orders/${json.id.toUpperCase()}/cancel`, '{}');
  expect(second.status).toBe(200);
  expect(second.text).toBe(first.text);
});

test('what is enforced is documented', async () => {
  const { json } = await order.get('/docs/json');
  expect(Object.keys(json.paths)).toEqual(
    expect.arrayContaining([
      '/api/v1/orders',
      '/api/v1/orders/{id}',
      '/api/v1/orders/{id}/cancel',
      '/api/v1/orders/{id}/saga',
    ]),
  );
  const body = json.paths['/api/v1/orders'].post.requestBody.content['application/json'].schema;
  expect(body.properties.lines.maxItems).toBe(1000);
  expect(body.properties.total_price.maximum).toBe(Number.MAX_SAFE_INTEGER);
  expect((await order.get('/docs')).status).toBe(200);
});
