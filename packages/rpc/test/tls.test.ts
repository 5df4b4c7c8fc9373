import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { createClient as createConnectClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { OrderService } from '@tradewind/contracts/order/v1/order';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createClient } from '../client.ts';
import type { Server } from '../serve.ts';
import { orderId, serveOrders } from './orders.ts';

// Made for these tests, for localhost only; the key is no secret.
const [cert, key] = await Promise.all(
  ['cert', 'key'].map((part) => readFile(join(import.meta.dirname, `test-fixture-${part}.pem`), 'utf8')),
);

let server: Server;
beforeAll(async () => {
  if (!cert || !key) throw new Error('the fixture is missing');
  server = await serveOrders({}, { tls: { cert, key }, grpcPort: 0, limits: { peekMs: 300 } });
});
afterAll(() => server.close());

async function handshake(port: number, ALPNProtocols?: string[]): Promise<TLSSocket> {
  const socket = connectTls({ port, host: '127.0.0.1', ca: cert, ...(ALPNProtocols && { ALPNProtocols }) });
  await once(socket, 'secureConnect');
  return socket;
}

it.each([
  [['h2', 'http/1.1'], 'http/1.1'],
  [['http/1.1'], 'http/1.1'],
  [['h2'], 'h2'],
  [undefined, false],
])('for %j agrees on %s', async (offered, agreed) => {
  const socket = await handshake(server.address.port, offered);
  expect(socket.alpnProtocol).toBe(agreed);
  socket.destroy();
});

it('refuses a client that offers nothing it knows', async () => {
  await expect(handshake(server.address.port, ['spdy/3'])).rejects.toThrow(/alert|protocol/);
});

it('speaks gRPC, Connect and HTTP', async () => {
  expect(server.url).toMatch(/^https:/);
  const baseUrl = server.url;
  await using ours = createClient(OrderService, { baseUrl, ca: cert });
  expect((await ours.call.getOrder({ id: orderId })).order?.id).toBe(orderId);
  for (const transport of [
    createGrpcTransport({ baseUrl, nodeOptions: { ca: cert } }),
    createConnectTransport({ baseUrl, httpVersion: '1.1', nodeOptions: { ca: cert } }),
  ]) {
    const client = createConnectClient(OrderService, transport);
    expect((await client.getOrder({ id: orderId })).order?.id).toBe(orderId);
  }
  const request = httpsRequest(`${server.url}/healthcheck`, { ca: cert, agent: false });
  request.end();
  const [response] = await once(request, 'response');
  expect(response.statusCode).toBe(200);
  response.resume();
});

it('has a port for clients that offer both and want gRPC', async () => {
  const port = server.grpcAddress?.port ?? 0;
  const socket = await handshake(port, ['http/1.1', 'h2']);
  expect(socket.alpnProtocol).toBe('h2');
  socket.destroy();
  await using client = createClient(OrderService, { baseUrl: `https://127.0.0.1:${port}`, ca: cert });
  expect((await client.call.getOrder({ id: orderId })).order?.id).toBe(orderId);
});

it('ends a connection that does not shake hands', async () => {
  for (const port of [server.address.port, server.grpcAddress?.port ?? 0]) {
    for (const bytes of ['', 'GET / HTTP/1.1\r\n\r\n']) {
      const socket = connectTcp(port, '127.0.0.1');
      socket.on('error', () => {});
      socket.resume();
      if (bytes) socket.write(bytes);
      await once(socket, 'close');
    }
  }
});

it('has a pure gRPC port without TLS, too', async () => {
  await using plain = await serveOrders({}, { grpcPort: 0 });
  await using client = createClient(OrderService, { baseUrl: `http://127.0.0.1:${plain.grpcAddress?.port}` });
  expect((await client.call.getOrder({ id: orderId })).order?.id).toBe(orderId);
});
