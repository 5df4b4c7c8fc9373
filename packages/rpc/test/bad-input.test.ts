import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { gzipSync } from 'node:zlib';
import { Code } from '@connectrpc/connect';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { OrderService } from '@tradewind/contracts/order/v1/order';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createClient } from '../client.ts';
import { callOf } from '../rest.ts';
import type { Server } from '../serve.ts';
import { serveOrders } from './orders.ts';

const create = '/tradewind.order.v1.OrderService/CreateOrder';
const list = '/tradewind.order.v1.OrderService/ListOrders';

const lineSchema = {
  type: 'object',
  required: ['product_id', 'quantity'],
  properties: {
    product_id: { type: 'integer', minimum: 1 },
    quantity: { type: 'integer', minimum: 1 },
  },
};

let server: Server;
beforeAll(async () => {
  server = await serveOrders(
    {},
    {
      http(app, invoke) {
        const body = {
          type: 'object',
          required: ['lines'],
          properties: { lines: { type: 'array', maxItems: 1000, items: lineSchema } },
        };
        app.post('/orders', { schema: { body } }, async (request, reply) => {
          type Body = { lines: { product_id: number; quantity: number }[] };
          const lines = (request.body as Body).lines.map(({ product_id, quantity }) => ({
            productId: product_id,
            quantity,
            unitPrice: 1n,
          }));
          return reply
            .code(201)
            .send(
              (await invoke(OrderService.method.createOrder, { lines }, callOf(request, reply))).order?.id,
            );
        });
        const querystring = { type: 'object', properties: { page_size: { type: 'integer', maximum: 1000 } } };
        app.get('/orders', { schema: { querystring } }, async ({ query }) => query);
        app.get('/orders/:id', async () => ({}));
      },
      limits: { requestMs: 500 },
    },
  );
});
afterAll(() => server.close());
afterEach(async () => {
  expect(await (await fetch(`${server.url}/healthcheck`)).text()).toBe('OK v1.2.3');
});

type Init = { type?: string; body?: string | Buffer<ArrayBuffer>; method?: string };

async function send(path: string, { type = 'application/json', body = '', method = 'POST' }: Init = {}) {
  const init = method === 'GET' ? {} : { body };
  const response = await fetch(server.url + path, { method, headers: { 'content-type': type }, ...init });
  const text = await response.text();
  return { status: response.status, text, headers: response.headers };
}

const lines = (count: number) => `{"lines":[${Array(count).fill('{"product_id":1,"quantity":1}').join()}]}`;
const bad: [string, Init, number, string][] = [
  ['malformed JSON', { body: '{"lines":[' }, 400, 'JSON'],
  ['no body', {}, 400, ''],
  ['null', { body: 'null' }, 400, ''],
  ['an array', { body: '[]' }, 400, ''],
  ['text for a number', { body: '{"lines":[{"product_id":1,"quantity":"two"}]}' }, 400, 'quantity'],
  ['a list for a number', { body: '{"lines":[{"product_id":[1],"quantity":1}]}' }, 400, 'product_id'],
  ['a fraction', { body: '{"lines":[{"product_id":1,"quantity":1.5}]}' }, 400, 'quantity'],
  ['zero', { body: '{"lines":[{"product_id":1,"quantity":0}]}' }, 400, 'lines[0].quantity'],
  ['a negative number', { body: '{"lines":[{"product_id":1,"quantity":-7}]}' }, 400, 'lines[0].quantity'],
  ['a huge number', { body: '{"lines":[{"product_id":99999999999999,"quantity":1}]}' }, 400, 'product_id'],
  [
    'one too large for its field',
    { body: '{"lines":[{"product_id":3000000000,"quantity":1}]}' },
    400,
    'product_id',
  ],
  ['a missing field', { body: '{"lines":[{"quantity":1}]}' }, 400, 'lines[0].product_id'],
  ['10,000 lines', { body: lines(10_000) }, 400, 'lines'],
  ['a poisoned prototype', { body: '{"__proto__":{"lines":[]}}' }, 400, ''],
  ['JSON deeper than any order', { body: '['.repeat(50_000) }, 400, ''],
  ['what is no JSON by its type', { body: 'lines=1', type: 'application/x-www-form-urlencoded' }, 415, ''],
  ['text', { body: '{}', type: 'text/plain' }, 415, ''],
  ['no type that anybody knows', { body: '{}', type: 'nonsense' }, 415, ''],
];

describe('REST', () => {
  it.each(bad)('refuses %s', async (_name, init, status, field) => {
    const answer = await send('/orders', init);
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.text)).toMatchObject({
      status,
      message: expect.any(String),
      details: expect.any(Array),
    });
    expect(answer.text).toContain(field);
    expect(answer.text).not.toMatch(/node_modules|\.ts:|at \w+ \(/);
  });

  it('names each field in details', async () => {
    const { text } = await send('/orders', { body: '{"lines":[{"quantity":0}]}' });
    expect(JSON.parse(text)).toEqual({
      status: 400,
      message: 'There is some problem with the data you submitted.',
      details: [
        { field: 'lines[0].product_id', error: 'is required' },
        { field: 'lines[0].quantity', error: 'must be >= 1' },
      ],
      trace_id: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
  });

  it('refuses 10 MB', async () => {
    expect((await send('/orders', { body: Buffer.alloc(10_000_000, 0x20) })).status).toBe(413);
  });

  it('coerces in a query, and refuses what is no number there', async () => {
    expect((await send('/orders?page_size=7', { method: 'GET' })).text).toBe('{"page_size":7}');
    const { status, text } = await send('/orders?page_size=many', { method: 'GET' });
    expect(status).toBe(400);
    expect(text).toContain('page_size');
  });

  it('says what a path allows', async () => {
    const { status, headers } = await send('/orders/7', { method: 'DELETE' });
    expect(status).toBe(405);
    expect(headers.get('allow')).toBe('GET, HEAD');
    expect((await send('/order', {})).status).toBe(404);
    expect((await send(`/orders/${'x'.repeat(5_000)}`, { method: 'GET' })).status).toBeGreaterThanOrEqual(
      400,
    );
  });
});

describe('Connect', () => {
  const words = new Map([
    [400, 'invalid_argument'],
    [415, ''],
  ]);
  it.each(
    bad.filter(([name]) => !['no type that anybody knows', 'text', 'a poisoned prototype'].includes(name)),
  )('refuses %s', async (_name, init, status, field) => {
    const answer = await send(create, init);
    expect(answer.status).toBe(status);
    expect(answer.text).toContain(words.get(status));
    expect(answer.text).toContain(field.replace(/^lines\[0\]\./, ''));
    expect(answer.text).not.toMatch(/node_modules|\.ts:|at \w+ \(/);
    expect(answer.headers.get('x-request-id')).toMatch(/./);
  });

  it.each([
    ['malformed protobuf', Buffer.from('ffffffff', 'hex'), 400],
    ['10 MB', Buffer.alloc(10_000_000), 429],
  ])('refuses %s', async (_name, body, status) => {
    expect((await send(create, { body, type: 'application/proto' })).status).toBe(status);
  });

  it('refuses malformed protobuf by gRPC-Web', async () => {
    const frame = Buffer.from('0000000004ffffffff', 'hex');
    const { status, text } = await send(create, { body: frame, type: 'application/grpc-web+proto' });
    expect(status).toBe(200);
    expect(text).toMatch(/grpc-status: 3\b/);
  });

  it('refuses a bomb', async () => {
    const response = await fetch(server.url + create, {
      method: 'POST',
      headers: { 'content-type': 'application/proto', 'content-encoding': 'gzip' },
      body: gzipSync(Buffer.alloc(200_000_000)),
    });
    expect(response.status).toBe(429);
  });

  it('knows its methods', async () => {
    expect((await send(create.replace('Create', 'Invent'))).status).toBe(404);
    expect((await send('/tradewind.order.v1.Other/CreateOrder')).status).toBe(404);
    const { status, headers } = await send(create, { method: 'PUT' });
    expect(status).toBe(405);
    expect(headers.get('allow')).toBe('POST');
    expect((await send(`${list}?encoding=json&message=%7B%7D`, { method: 'GET' })).status).toBe(200);
  });

  it('refuses a deadline that is none', async () => {
    const headers = { 'content-type': 'application/json', 'connect-timeout-ms': 'soon' };
    const response = await fetch(server.url + list, { method: 'POST', headers, body: '{}' });
    expect(response.status).toBe(400);
  });
});

describe('gRPC', () => {
  const channel = () => new Client(`127.0.0.1:${server.address.port}`, credentials.createInsecure());
  const asIs = (bytes: Buffer) => bytes;

  function call(path: string, body: Buffer, metadata = new Metadata()): Promise<ServiceError | null> {
    const client = channel();
    return new Promise<ServiceError | null>((resolve) => {
      client.makeUnaryRequest(path, asIs, asIs, body, metadata, (error) => resolve(error));
    }).finally(() => client.close());
  }

  it.each([
    ['malformed protobuf', create, Buffer.from('ffffffff', 'hex'), status.INVALID_ARGUMENT],
    ['an empty request', create, Buffer.alloc(0), status.INVALID_ARGUMENT],
    // Half a million empty lines in one megabyte: refused by their number, not one by one.
    [
      'half a million lines',
      create,
      Buffer.alloc(1_000_000, Buffer.from([0x12, 0x00])),
      status.INVALID_ARGUMENT,
    ],
    ['10 MB', create, Buffer.alloc(10_000_000), status.RESOURCE_EXHAUSTED],
    ['an unknown method', create.replace('Create', 'Invent'), Buffer.alloc(0), status.UNIMPLEMENTED],
    ['an unknown service', '/nobody.Nothing/Do', Buffer.alloc(0), status.UNIMPLEMENTED],
  ])('refuses %s', async (_name, path, body, code) => {
    const started = performance.now();
    expect((await call(path, body))?.code).toBe(code);
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  it.each([
    ['text', 'soon', status.INVALID_ARGUMENT],
    ['no unit', '10', status.INVALID_ARGUMENT],
    ['1 ns', '1n', status.DEADLINE_EXCEEDED],
    ['11,000 years', '99999999H', status.OK],
  ])('stands a deadline of %s', async (_name, timeout, code) => {
    const session = connectHttp2(server.url);
    const stream = session.request({
      ':method': 'POST',
      ':path': list,
      'content-type': 'application/grpc',
      te: 'trailers',
      'grpc-timeout': timeout,
    });
    // For the shortest deadline the body never comes.
    if (code === status.DEADLINE_EXCEEDED) stream.write(Buffer.from([0, 0]));
    else stream.end(Buffer.alloc(5));
    const trailers = new Promise<Record<string, unknown>>((resolve) => {
      stream.on('trailers', resolve);
      stream.on('response', (headers) => {
        if ('grpc-status' in headers) resolve(headers);
      });
    });
    stream.resume();
    expect(Number((await trailers)['grpc-status'])).toBe(code);
    session.destroy();
  });

  it.each([
    ['gzip', 2, status.OK],
    ['deflate', 1, status.OK],
  ])('takes a request compressed by %s', async (_name, algorithm, code) => {
    const client = new Client(`127.0.0.1:${server.address.port}`, credentials.createInsecure(), {
      'grpc.default_compression_algorithm': algorithm,
    });
    const pageToken = Buffer.concat([Buffer.from([0x12, 200, 1]), Buffer.alloc(200, 'x')]);
    const answered = await new Promise<number>((resolve) => {
      client.makeUnaryRequest(list, asIs, asIs, pageToken, (error) => resolve(error?.code ?? status.OK));
    });
    client.close();
    expect(answered).toBe(code);
  });

  it.each([
    ['a bomb', 'gzip', gzipSync(Buffer.alloc(50_000_000)), status.RESOURCE_EXHAUSTED],
    ['what does not decompress', 'gzip', Buffer.from('nonsense'), status.INVALID_ARGUMENT],
    ['an unknown compression', 'lzw', Buffer.from('nonsense'), status.UNIMPLEMENTED],
  ])('refuses %s', async (_name, encoding, body, code) => {
    const session = connectHttp2(server.url);
    const headers = {
      ':method': 'POST',
      ':path': list,
      'content-type': 'application/grpc',
      'grpc-encoding': encoding,
    };
    const stream = session.request(headers);
    const head = Buffer.from([1, 0, 0, 0, 0]);
    head.writeUInt32BE(body.length, 1);
    stream.end(Buffer.concat([head, body]));
    const [answer] = await once(stream, 'response');
    expect(Number(answer['grpc-status'])).toBe(code);
    session.destroy();
  });

  it('ends a call whose request never comes', async () => {
    await using impatient = await serveOrders({}, { limits: { deadlineMs: 50 } });
    const session = connectHttp2(impatient.url);
    const stream = session.request({
      ':method': 'POST',
      ':path': create,
      'content-type': 'application/grpc',
    });
    const [headers] = await once(stream, 'response');
    expect(Number(headers['grpc-status'])).toBe(status.DEADLINE_EXCEEDED);
    session.destroy();
  });

  it('refuses two requests and none at a unary method', async () => {
    for (const frames of [Buffer.alloc(0), Buffer.alloc(10)]) {
      const session = connectHttp2(server.url);
      const stream = session.request({
        ':method': 'POST',
        ':path': list,
        'content-type': 'application/grpc',
      });
      stream.end(frames);
      const [headers] = await once(stream, 'response');
      expect(Number(headers['grpc-status'])).toBe(status.INVALID_ARGUMENT);
      session.destroy();
    }
  });

  it('tells which field a decoder stumbled over when the server is asked by types that fit nothing', async () => {
    await using client = createClient(OrderService, { baseUrl: server.url });
    const quantity = client.call.createOrder({
      lines: [{ productId: 1, quantity: 2_000_000, unitPrice: 1n }],
    });
    await expect(quantity).rejects.toMatchObject({
      code: Code.InvalidArgument,
      rawMessage: expect.stringContaining('lines[0].quantity'),
    });
  });
});
