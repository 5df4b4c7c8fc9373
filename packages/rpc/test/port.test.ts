import { once } from 'node:events';
import { connect as connectHttp2, constants } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { duplexPair, PassThrough } from 'node:stream';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { OrderService } from '@tradewind/contracts/order/v1/order';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Server } from '../serve.ts';
import { orderId, serveOrders } from './orders.ts';
import { rawConnection, turn } from './sockets.ts';

const limits = { peekMs: 300, headersMs: 400, requestMs: 800 };
const get = (path: string, headers = '') => `GET ${path} HTTP/1.1\r\nHost: shop\r\n${headers}\r\n`;

let server: Server;
beforeAll(async () => {
  server = await serveOrders({}, { limits });
});
afterAll(() => server.close());

async function stillServes(): Promise<void> {
  const response = await fetch(`${server.url}/healthcheck`);
  expect(await response.text()).toBe('OK v1.2.3');
}

describe('HTTP/2 on the port', () => {
  it('takes the preface byte by byte', async () => {
    const socket = connectTcp({ ...server.address, noDelay: true });
    await once(socket, 'connect');
    const slow = new PassThrough();
    // Everything that the HTTP/2 client writes passes here, the first 30 bytes one at a time.
    let single = 30;
    slow.on('data', async (chunk: Buffer) => {
      slow.pause();
      let rest = chunk;
      for (; single > 0 && rest.length > 0; single -= 1) {
        socket.write(rest.subarray(0, 1));
        rest = rest.subarray(1);
        await turn();
      }
      if (rest.length > 0) socket.write(rest);
      slow.resume();
    });
    const [near, far] = duplexPair();
    far.pipe(slow);
    socket.pipe(far);
    const session = connectHttp2(server.url, { createConnection: () => near });
    const request = session.request({ ':path': '/healthcheck' });
    const [headers] = await once(request, 'response');
    expect(headers[':status']).toBe(200);
    session.destroy();
    socket.destroy();
  });

  it('takes a call of a megabyte that comes with the preface', async () => {
    const client = createClient(OrderService, createGrpcTransport({ baseUrl: server.url }));
    const line = { productId: 1, quantity: 1, unitPrice: 1n };
    const { order } = await client.createOrder({ lines: Array.from({ length: 1_000 }, () => line) });
    expect(order?.totalPrice).toBe(1_000n);
  });

  it('answers what is no gRPC, too', async () => {
    const session = connectHttp2(server.url);
    const request = session.request({ ':path': '/health/ready', [constants.HTTP2_HEADER_METHOD]: 'GET' });
    request.setEncoding('utf8');
    let body = '';
    request.on('data', (chunk: string) => {
      body += chunk;
    });
    await once(request, 'end');
    expect(JSON.parse(body)).toMatchObject({ status: 'ready' });
    session.close();
  });

  it('ends a connection that breaks the protocol', async () => {
    await using client = await rawConnection(server.address);
    await client.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nand then no frames at all, but a lot of text');
    await client.ended;
    await stillServes();
  });
});

describe('HTTP/1.1 on the port', () => {
  it('takes a split PROPFIND for what it is', async () => {
    await using client = await rawConnection(server.address);
    for (const part of [
      'P',
      'R',
      'OPFIND /healthcheck HTTP/1.1\r\nHo',
      'st: shop\r\nConnection: close\r\n\r\n',
    ]) {
      await client.write(part);
      await turn();
    }
    expect(await client.ended).toMatch(/^HTTP\/1\.1 405 /);
  });

  it('answers pipelined requests in order', async () => {
    await using client = await rawConnection(server.address);
    await client.write(get('/healthcheck') + get('/nope') + get('/health/live', 'Connection: close\r\n'));
    const statuses = (await client.ended).match(/HTTP\/1\.1 \d+/g);
    expect(statuses).toEqual(['HTTP/1.1 200', 'HTTP/1.1 404', 'HTTP/1.1 200']);
  });

  it('takes a body that comes in the same packet as its headers', async () => {
    await using client = await rawConnection(server.address);
    const body = JSON.stringify({ id: orderId });
    await client.write(
      `POST /tradewind.order.v1.OrderService/GetOrder HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    expect(await client.ended).toContain(orderId);
  });

  it('ignores a WebSocket upgrade', async () => {
    await using client = await rawConnection(server.address);
    await client.write(
      get(
        '/chat',
        'Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n',
      ),
    );
    expect(await client.ended).toMatch(/^HTTP\/1\.1 404 /);
    await stillServes();
  });

  it.each([
    ['what is no HTTP', 'hello\r\n\r\n', 400],
    ['no Host', 'GET /healthcheck HTTP/1.1\r\n\r\n', 400],
    ['endless headers', `${get('/').trimEnd()}\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`, 431],
    [
      'HTTP/1.0 without Host at an RPC',
      'POST /tradewind.order.v1.OrderService/GetOrder HTTP/1.0\r\n\r\n',
      400,
    ],
    [
      'a Host that is no host at an RPC',
      'POST /tradewind.order.v1.OrderService/GetOrder HTTP/1.1\r\nHost: [\r\nConnection: close\r\n\r\n',
      400,
    ],
    ['a path that is no path', 'GET /%zz HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n', 400],
  ])('refuses %s', async (_name, request, status) => {
    await using client = await rawConnection(server.address);
    await client.write(request);
    expect(await client.ended).toMatch(new RegExp(`^HTTP/1\\.[01] ${status} `));
    await stillServes();
  });
});

describe('who says too little', () => {
  it('is left after a while: one byte and silence', async () => {
    await using client = await rawConnection(server.address);
    await client.write('P');
    expect(await client.ended).toMatch(/^HTTP\/1\.1 408 /);
  });

  it('is left after a while: nothing at all', async () => {
    await using client = await rawConnection(server.address);
    expect(await client.ended).toBe('');
  });

  it('is left after a while: headers that never end', async () => {
    await using client = await rawConnection(server.address);
    await client.write('GET / HTTP/1.1\r\nHost: shop\r\n');
    expect(await client.ended).toMatch(/^HTTP\/1\.1 408 /);
  });

  it('is left after a while: a body that never ends', async () => {
    for (const path of ['/tradewind.order.v1.OrderService/GetOrder', '/healthcheck']) {
      await using client = await rawConnection(server.address);
      await client.write(
        `POST ${path} HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"id`,
      );
      await client.ended;
    }
    await stillServes();
  });

  it('does not delay others, half-open or not', async () => {
    const clients = await Promise.all(Array.from({ length: 200 }, () => rawConnection(server.address)));
    await Promise.all(clients.map((client, index) => client.write(index % 2 ? 'P' : 'PRI * HTTP/2.0\r\n')));
    clients.forEach(({ socket }, index) => {
      if (index % 3 === 0) socket.end();
    });
    const started = performance.now();
    await stillServes();
    expect(performance.now() - started).toBeLessThan(250);
    await Promise.all(clients.map(({ ended }) => ended));
  });

  it('costs no CPU while silent', async () => {
    await using patient = await serveOrders({}, { limits: { peekMs: 60_000 } });
    const clients = await Promise.all(Array.from({ length: 20 }, () => rawConnection(patient.address)));
    await Promise.all(clients.map((client) => client.write('P')));
    await turn();
    const before = process.cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, 500));
    const { user, system } = process.cpuUsage(before);
    // A loop that spins would use all of the 500 ms.
    expect((user + system) / 1_000).toBeLessThan(250);
    for (const { socket } of clients) socket.destroy();
  });
});
