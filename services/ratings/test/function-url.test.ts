import { once } from 'node:events';
import { type IncomingMessage, type RequestOptions, request } from 'node:http';
import { connect } from 'node:net';
import { createLogger } from '@tradewind/telemetry/logger';
import type { LambdaFunctionURLEvent } from 'aws-lambda';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { FunctionUrlEvent } from '../lambda/function-url/event.ts';
import { PAYLOAD_BYTES, serveFunction } from '../lambda/function-url/server.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

let scope: AsyncDisposableStack;
beforeEach(() => {
  scope = new AsyncDisposableStack();
});
afterEach(() => scope.disposeAsync());

async function served(handler: (event: FunctionUrlEvent) => Promise<unknown>) {
  const logger = createLogger({ service: 'test', level: 'silent' });
  const server = await serveFunction({ handler, host: '127.0.0.1', port: 0, logger });
  scope.use(server);
  return { server, port: server.port, url: `http://127.0.0.1:${server.port}` };
}

/** Serves a function that keeps its events. */
async function echoing() {
  const events: FunctionUrlEvent[] = [];
  const { url, port } = await served(async (event) => {
    events.push(event);
    return { statusCode: 200 };
  });
  return { url, port, last: (): LambdaFunctionURLEvent => events.at(-1) as FunctionUrlEvent };
}

/** A request as it is written here, header by header. */
async function ask(port: number, options: RequestOptions, body?: string | Buffer) {
  const sent = request({ host: '127.0.0.1', port, agent: false, ...options }).end(body);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() };
}

describe('the event', () => {
  test('is of payload format 2.0, and nothing is in it that a function URL leaves out', async () => {
    const { port, last } = await echoing();
    const before = Date.now();
    const { headers } = await ask(
      port,
      {
        method: 'POST',
        path: '/a%20b/c?x=1&y=%C3%A4&x=2&z',
        headers: {
          Host: 'abc.lambda-url.example:8089',
          'Content-Type': 'application/json',
          'X-Mixed-Case': 'Some Value',
          'User-Agent': 'test/1',
        },
      },
      '{"a":"ä"}',
    );
    const event = last();
    const { time, timeEpoch } = event.requestContext;
    expect(event).toEqual({
      version: '2.0',
      routeKey: '$default',
      rawPath: '/a%20b/c',
      rawQueryString: 'x=1&y=%C3%A4&x=2&z',
      queryStringParameters: { x: '1,2', y: 'ä', z: '' },
      headers: {
        host: 'abc.lambda-url.example:8089',
        'content-type': 'application/json',
        'content-length': '10',
        'x-mixed-case': 'Some Value',
        'user-agent': 'test/1',
        'x-forwarded-for': '127.0.0.1',
        'x-forwarded-port': String(port),
        'x-forwarded-proto': 'http',
        'x-amzn-trace-id': expect.stringMatching(/^Root=1-[0-9a-f]{8}-[0-9a-f]{24}$/),
      },
      requestContext: {
        accountId: 'anonymous',
        apiId: 'abc',
        domainName: 'abc.lambda-url.example',
        domainPrefix: 'abc',
        http: {
          method: 'POST',
          path: '/a%20b/c',
          protocol: 'HTTP/1.1',
          sourceIp: '127.0.0.1',
          userAgent: 'test/1',
        },
        requestId: expect.stringMatching(UUID),
        routeKey: '$default',
        stage: '$default',
        time,
        timeEpoch,
      },
      body: '{"a":"ä"}',
      isBase64Encoded: false,
    } satisfies LambdaFunctionURLEvent);
    expect(timeEpoch).toBeGreaterThanOrEqual(before);
    const [, day, month, year, clock] = /^(\d\d)\/(\w{3})\/(\d{4}):([\d:]{8}) \+0000$/.exec(time) ?? [];
    expect(Date.parse(`${day} ${month} ${year} ${clock} GMT`)).toBe(Math.floor(timeEpoch / 1_000) * 1_000);
    expect(headers['x-amzn-requestid']).toBe(event.requestContext.requestId);
  });

  test('without a body, a query or cookies', async () => {
    const { port, last } = await echoing();
    await ask(port, { method: 'GET', path: '/' });
    expect(last()).toMatchObject({ rawPath: '/', rawQueryString: '', isBase64Encoded: false });
    for (const key of ['body', 'cookies', 'queryStringParameters']) expect(last()).not.toHaveProperty(key);
  });

  test('several headers of a name are one, cookies are apart, the connection is left out', async () => {
    const { port, last } = await echoing();
    await ask(port, {
      headers: {
        accept: ['text/plain', 'application/json'],
        'x-twice': ['1', '2'],
        cookie: ['a=1; b=2', 'c=3'],
        'x-forwarded-for': '203.0.113.7',
        connection: 'close',
        te: 'trailers',
      },
    });
    const { headers, cookies } = last();
    expect(cookies).toEqual(['a=1', 'b=2', 'c=3']);
    expect(headers).toMatchObject({
      accept: 'text/plain,application/json',
      'x-twice': '1,2',
      'x-forwarded-for': '203.0.113.7, 127.0.0.1',
    });
    for (const name of ['cookie', 'connection', 'te']) expect(headers).not.toHaveProperty(name);
  });

  const UTF8 = 'grüß';
  test.each([
    [{ 'content-type': 'application/json' }, UTF8, false],
    [{ 'content-type': 'text/plain; charset=utf-8' }, UTF8, false],
    [{ 'content-type': 'application/problem+json' }, UTF8, false],
    [{ 'content-type': 'application/xml' }, UTF8, false],
    [{ 'content-type': 'application/x-www-form-urlencoded' }, UTF8, true],
    [{ 'content-type': 'application/octet-stream' }, UTF8, true],
    [{ 'content-type': 'application/jsonlines' }, UTF8, true],
    [{}, UTF8, true],
    [{ 'content-type': 'application/json', 'content-encoding': 'gzip' }, UTF8, true],
    [{ 'content-type': 'text/plain' }, Buffer.from([0xff, 0xfe]), true],
  ])('body of %j, %s: base64 %s', async (headers, body, isBase64Encoded) => {
    const { port, last } = await echoing();
    await ask(port, { method: 'PUT', headers }, body);
    const event = last();
    expect(event.isBase64Encoded).toBe(isBase64Encoded);
    expect(Buffer.from(event.body ?? '', isBase64Encoded ? 'base64' : 'utf8')).toEqual(Buffer.from(body));
  });

  test.each([
    ['http://elsewhere.example/x?y=1', '/x', 'y=1'],
    ['/?', '/', ''],
    ['/a?b?c', '/a', 'b?c'],
    ['//x', '//x', ''],
    ['*', '/', ''],
  ])('of the target %s', async (path, rawPath, rawQueryString) => {
    const { port, last } = await echoing();
    await ask(port, { method: 'OPTIONS', path });
    expect(last()).toMatchObject({ rawPath, rawQueryString });
  });
});

describe('the answer', () => {
  test('is what the function says', async () => {
    const { port } = await served(async () => ({
      statusCode: 201,
      headers: { 'X-Number': 5, 'x-flag': true, 'Content-Length': '999', Connection: 'close' },
      cookies: ['a=1; Secure', 'b=2'],
      body: Buffer.from('grüß').toString('base64'),
      isBase64Encoded: true,
    }));
    const { status, headers, body } = await ask(port, {});
    expect([status, body]).toEqual([201, 'grüß']);
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'x-number': '5',
      'x-flag': 'true',
      'set-cookie': ['a=1; Secure', 'b=2'],
      'content-length': '6',
    });
  });

  test.each([
    [{ hello: 'world' }, '{"hello":"world"}'],
    ['Hello', '"Hello"'],
    [[1, 2], '[1,2]'],
    [7, '7'],
    [null, 'null'],
    [undefined, 'null'],
    [{ body: 'x' }, '{"body":"x"}'],
  ])('without a statusCode, %j, is 200 and JSON', async (result, expected) => {
    const { port } = await served(async () => result);
    const { status, headers, body } = await ask(port, {});
    expect([status, headers['content-type'], body]).toEqual([200, 'application/json', expected]);
  });

  test('has no body for HEAD, 204 and 304', async () => {
    let statusCode = 200;
    const { port } = await served(async () => ({ statusCode, body: 'abc' }));
    const head = await ask(port, { method: 'HEAD' });
    expect([head.status, head.headers['content-length'], head.body]).toEqual([200, '3', '']);
    for (statusCode of [204, 304])
      expect(await ask(port, {})).toMatchObject({ status: statusCode, body: '' });
  });

  const cyclic: { self?: unknown } = {};
  cyclic.self = cyclic;
  test.each<[string, unknown]>([
    ['a status of none', { statusCode: 99 }],
    ['a status that is a word', { statusCode: 'ok' }],
    ['a body that is no text', { statusCode: 200, body: { a: 1 } }],
    ['cookies that are no list', { statusCode: 200, cookies: 'a=1' }],
    ['headers that are no object', { statusCode: 200, headers: ['a'] }],
    ['a header that is no text', { statusCode: 200, headers: { a: {} } }],
    ['a header that HTTP forbids', { statusCode: 200, headers: { a: 'b\r\nc: d' } }],
    ['a cookie that HTTP forbids', { statusCode: 200, cookies: ['a\nb'] }],
    ['what is no JSON', cyclic],
    ['a bigint', { statusCode: 200, body: 1n }],
    ['more than fits', { statusCode: 200, body: 'x'.repeat(PAYLOAD_BYTES) }],
  ])('with %s is 502, as a function that throws', async (_name, result) => {
    const { port } = await served(async () => result);
    expect(await ask(port, {})).toMatchObject({ status: 502, body: 'Internal Server Error' });
  });

  test('of a function that throws is 502 without its reason; the next one is answered', async () => {
    let calls = 0;
    const { port } = await served(async () => {
      calls += 1;
      if (calls === 1) throw new Error('postgres://me:secret@db');
      return 'fine';
    });
    expect(await ask(port, {})).toMatchObject({ status: 502, body: 'Internal Server Error' });
    expect(await ask(port, {})).toMatchObject({ status: 200, body: '"fine"' });
  });
});

test('a request of more than 6 MB is 413, however it is sent; one that just fits is handled', async () => {
  const sizes: number[] = [];
  const { port } = await served(async ({ body = '' }) => {
    sizes.push(body.length);
    return 'fine';
  });
  const post = (options: RequestOptions, bytes: number) =>
    ask(port, { method: 'POST', ...options }, Buffer.alloc(bytes, 'x'));
  const text = { headers: { 'content-type': 'text/plain' } };
  const chunked = { headers: { ...text.headers, 'transfer-encoding': 'chunked' } };
  expect((await post(text, PAYLOAD_BYTES - 2_000)).status).toBe(200);
  expect((await post(text, PAYLOAD_BYTES - 100)).status).toBe(413);
  expect((await post(text, PAYLOAD_BYTES + 1)).status).toBe(413);
  expect((await post(chunked, PAYLOAD_BYTES + 1)).status).toBe(413);
  // In base64 it is a third longer.
  expect((await post({}, (PAYLOAD_BYTES / 4) * 3)).status).toBe(413);
  expect(sizes).toEqual([PAYLOAD_BYTES - 2_000]);
});

test('a caller who leaves in the middle harms nobody', async () => {
  const { port } = await served(async () => 'fine');
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.end('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf');
  socket.resume();
  await once(socket, 'close');
  expect((await ask(port, {})).status).toBe(200);
});

test('stopping lets what is in flight end, closes what is idle, and takes no more', async () => {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<string>();
  const { server, port } = await served(() => {
    asked.resolve();
    return answer.promise;
  });
  const idle = connect(port, '127.0.0.1');
  await once(idle, 'connect');
  idle.resume();
  const inFlight = ask(port, {});
  await asked.promise;
  const stopped = server[Symbol.asyncDispose]();
  await once(idle, 'close');
  await expect(ask(port, {})).rejects.toThrow('ECONNREFUSED');
  answer.resolve('fine');
  expect(await inFlight).toMatchObject({ status: 200, body: '"fine"', headers: { connection: 'close' } });
  await stopped;
});
