import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { gzipSync } from 'node:zlib';
import { create, type DescMessage, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, StructSchema } from '@bufbuild/protobuf/wkt';
import { OrderService } from '@tradewind/contracts/order/v1/order';
import { BadRequestSchema } from '@tradewind/contracts/third-party/google/rpc/error_details';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callOf } from '../rest.ts';
import type { Server } from '../serve.ts';
import { compileFindBroken } from '../well-formed.ts';
import { serveOrders } from './orders.ts';
import { rawConnection } from './sockets.ts';

const service = '/tradewind.order.v1.OrderService';
const createOrder = `${service}/CreateOrder`;
const listOrders = `${service}/ListOrders`;

let server: Server;
beforeAll(async () => {
  server = await serveOrders(
    {},
    {
      http(app, invoke) {
        const body = { type: 'object', properties: { customer_id: { type: 'string' } } };
        app.post('/orders', { schema: { body } }, async (request, reply) => {
          const { customer_id: customerId = '' } = request.body as { customer_id?: string };
          const wanted = { customerId, lines: [{ productId: 1, quantity: 1, unitPrice: 1n }] };
          const { order } = await invoke(OrderService.method.createOrder, wanted, callOf(request, reply));
          return { customer: order?.customerId };
        });
        const querystring = { type: 'object', properties: { page_size: { type: 'integer' } } };
        app.get('/orders', { schema: { querystring } }, async ({ query }) => query);
        app.get('/orders/:id', async ({ params }) => params);
      },
    },
  );
});
afterAll(() => server.close());

async function post(
  path: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
) {
  const init = { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body };
  const response = await fetch(server.url + path, init);
  const text = await response.text();
  return { status: response.status, headers: response.headers, json: JSON.parse(text) };
}

/** The fields that Connect's error details name. */
function fieldsOf(json: { details?: { type: string; value: string }[] }): string[] {
  return (json.details ?? [])
    .filter(({ type }) => type === 'google.rpc.BadRequest')
    .flatMap(({ value }) => fromBinary(BadRequestSchema, Buffer.from(value, 'base64')).fieldViolations)
    .map(({ field }) => field);
}

describe('text that is no Unicode', () => {
  it('is refused by REST, and the field named', async () => {
    const { status, json } = await post('/orders', '{"customer_id":"a\\ud800b"}');
    expect(status).toBe(400);
    expect(json.details).toEqual([{ field: 'customer_id', error: 'must be well-formed Unicode' }]);
    expect((await post('/orders', '{"customer_id":"\\u00fc"}')).json).toEqual({ customer: 'ü' });
  });

  it.each(['/orders', createOrder])('is refused as bytes by %s', async (path) => {
    const body = Buffer.concat([
      Buffer.from('{"customer_id":"'),
      Buffer.from([0xff, 0xfe]),
      Buffer.from('"}'),
    ]);
    const { status, json } = await post(path, Uint8Array.from(body));
    expect(status).toBe(400);
    expect(json.message).toContain('not UTF-8');
  });

  it.each<[DescMessage, Record<string, unknown>, string | undefined]>([
    [OrderService.method.listOrders.input, { customerId: '\udc00' }, 'customer_id'],
    [OrderService.method.listOrders.input, { customerId: 'fine \ud83d\ude00' }, undefined],
    [FileDescriptorProtoSchema, { dependency: ['a', '\ud800'] }, 'dependency[1]'],
    [
      FileDescriptorProtoSchema,
      { messageType: [{}, { nestedType: [{ name: 'x\ud800' }] }] },
      'message_type[1].nested_type[0].name',
    ],
    [
      StructSchema,
      { fields: { a: { kind: { case: 'stringValue', value: '\ud800' } } } },
      'fields["a"].string_value',
    ],
    [StructSchema, { fields: { '\ud800': {} } }, 'fields'],
    [StructSchema, { fields: { a: { kind: { case: 'numberValue', value: 1 } } } }, undefined],
  ])('is found in %s %#', (schema, init, path) => {
    expect(compileFindBroken(schema)?.(create(schema, init))).toBe(path);
  });

  it('is not looked for where there is no text', () => {
    expect(compileFindBroken(OrderService.method.createOrder.input)).toBeTypeOf('function');
    const [timestamp] = OrderService.method.getOrder.output.file.dependencies
      .flatMap(({ messages }) => messages)
      .filter(({ typeName }) => typeName === 'google.protobuf.Timestamp');
    expect(timestamp && compileFindBroken(timestamp)).toBeUndefined();
  });
});

describe('Connect', () => {
  it.each([
    ['connect-timeout-ms', '2147483648', 'application/json', '{}'],
    ['grpc-timeout', '99999999H', 'application/grpc-web+json', Buffer.from('00000000027b7d', 'hex')],
  ])('takes a long %s', async (name, value, type, body) => {
    const headers = { 'content-type': type, [name]: value };
    const response = await fetch(server.url + listOrders, { method: 'POST', headers, body });
    expect(response.status).toBe(200);
    expect(await response.text()).not.toMatch(/grpc-status: [1-9]/);
  });

  it('refuses a name that an enum does not have, and ignores unknown fields', async () => {
    const { status, json } = await post(listOrders, '{"status":"FOO","colour":"red"}');
    expect({ status, code: json.code, fields: fieldsOf(json) }).toEqual({
      status: 400,
      code: 'invalid_argument',
      fields: ['status'],
    });
    expect((await post(listOrders, '{"status":"ORDER_STATUS_PENDING","colour":"red"}')).status).toBe(200);
    expect((await post(listOrders, '{"status":1,"colour":{"status":"FOO"}}')).status).toBe(200);
  });

  it('names the field that has the wrong type', async () => {
    const { status, json } = await post(createOrder, '{"lines":[{"productId":"x"}]}');
    expect(status).toBe(400);
    expect(fieldsOf(json)).toEqual(['product_id']);
  });

  it('says of base64 that it is none', async () => {
    const response = await fetch(`${server.url}${listOrders}?encoding=proto&base64=1&message=***`);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      code: 'invalid_argument',
      message: 'the request is not decodable',
    });
  });
});

describe('REST', () => {
  it.each(['__proto__', 'constructor'])('ignores a field named %s', async (name) => {
    const body = `{"customer_id":"c","${name}":{"prototype":{"customer_id":"d"}}}`;
    expect(await post('/orders', body)).toMatchObject({ status: 200, json: { customer: 'c' } });
  });

  it.each([
    ['a compressed body', { 'content-encoding': 'gzip' }, 415],
    ['one that only says so', { 'content-encoding': 'bogus' }, 415],
    ['another charset', { 'content-type': 'application/json; charset=utf-16' }, 415],
    ['the charset that JSON has', { 'content-type': 'application/json; charset="UTF-8"' }, 200],
    ['what is not encoded', { 'content-encoding': 'identity' }, 200],
  ])('answers %s', async (_name, headers: Record<string, string>, status) => {
    const body = headers['content-encoding'] === 'gzip' ? Uint8Array.from(gzipSync('{}')) : '{}';
    const answer = await post('/orders', body, headers);
    expect(answer.status).toBe(status);
    if (status === 415)
      expect(answer.json).toEqual({
        status,
        message: expect.any(String),
        details: [],
        trace_id: answer.headers.get('traceresponse')?.slice(3, 35),
      });
  });

  it.each([
    [400, '/%ff', 'The path is not valid'],
    [414, `/orders/${'a'.repeat(5_000)}`, 'The path is too long'],
  ])(
    'answers a path that never gets to a route with %i, its trace and its id, and not with itself',
    async (status, path, message) => {
      const answer = await fetch(server.url + path);
      expect(answer.status).toBe(status);
      const trace_id = answer.headers.get('traceresponse')?.slice(3, 35);
      expect(trace_id).toMatch(/^[0-9a-f]{32}$/);
      expect(await answer.json()).toEqual({ status, message, details: [], trace_id });
      expect(answer.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    },
  );

  it.each(['0x10', '1e2', '%205', '5%20', '+5', '5.0'])('takes no page_size=%s', async (size) => {
    const response = await fetch(`${server.url}/orders?page_size=${size}`);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ details: [{ field: 'page_size' }] });
  });

  it.each([
    [400, 'GET /healthcheck HTTP/1.1\r\n\r\n'],
    [417, 'POST /orders HTTP/1.1\r\nHost: shop\r\nExpect: foo\r\nContent-Length: 2\r\n\r\n{}'],
  ])('answers %i with a body', async (status, request) => {
    await using client = await rawConnection(server.address);
    await client.write(request);
    const [head = '', body = ''] = (await client.ended).split('\r\n\r\n');
    expect(head).toContain(`HTTP/1.1 ${status} `);
    expect(JSON.parse(body)).toEqual({ status, message: expect.any(String), details: [] });
  });
});

describe('gRPC', () => {
  it.each([
    ['an unknown method', { ':path': `${service}/Invent` }, 12],
    ['a bad timeout', { ':path': listOrders, 'grpc-timeout': 'soon' }, 3],
    ['a deadline that passes', { ':path': listOrders, 'grpc-timeout': '1n' }, 4],
  ])('answers %s without a reset while the caller still sends', async (_name, headers, code) => {
    const session = connectHttp2(server.url);
    const stream = session.request({ ':method': 'POST', 'content-type': 'application/grpc', ...headers });
    stream.write(Buffer.alloc(3));
    const [answer] = await once(stream, 'response');
    expect(Number(answer['grpc-status'])).toBe(code);
    stream.resume();
    await once(stream, 'end');
    // A round trip later a reset would have come.
    await new Promise((resolve) => session.ping(() => resolve(undefined)));
    expect(stream.closed).toBe(false);
    stream.end();
    await once(stream, 'close');
    expect(stream.rstCode).toBe(0);
    session.destroy();
  });

  it('cuts off who never comes to an end', async () => {
    const session = connectHttp2(server.url);
    const head = { ':method': 'POST', ':path': `${service}/Invent`, 'content-type': 'application/grpc' };
    const stream = session.request(head);
    stream.resume();
    await once(stream, 'close');
    expect(stream.rstCode).toBe(0);
    session.destroy();
  });
});
