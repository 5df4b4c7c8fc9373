import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { createClient, type Transport } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import { OrderService } from '@tradewind/contracts/order/v1/order';
import { describe, expect, it, vi } from 'vitest';
import { callOf } from '../rest.ts';
import { aborted, orderId, serveOrders } from './orders.ts';
import { rawConnection } from './sockets.ts';

/** A handler that answers when told, and says how many wait. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  const state = { waiting: 0, open: resolve };
  const getOrder = async () => {
    state.waiting += 1;
    await promise;
    return { order: { id: orderId } };
  };
  return Object.assign(state, { getOrder });
}

const transports: Record<string, (baseUrl: string) => Transport> = {
  gRPC: (baseUrl) => createGrpcTransport({ baseUrl }),
  'gRPC-Web': (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: '1.1' }),
  Connect: (baseUrl) => createConnectTransport({ baseUrl, httpVersion: '1.1' }),
  'Connect over HTTP/2': (baseUrl) => createConnectTransport({ baseUrl, httpVersion: '2' }),
};

describe('closing', () => {
  it.each(Object.keys(transports))('lets a call by %s end', async (name) => {
    const handler = gate();
    await using server = await serveOrders({ getOrder: handler.getOrder });
    const transport = transports[name];
    if (!transport) throw new Error(name);
    const call = createClient(OrderService, transport(server.url)).getOrder({ id: orderId });
    await vi.waitFor(() => expect(handler.waiting).toBe(1));
    const closed = server.close();
    setTimeout(handler.open, 100);
    expect((await call).order?.id).toBe(orderId);
    await closed;
    await expect(fetch(`${server.url}/healthcheck`)).rejects.toThrow();
  });

  it('lets a REST request end, and its connection after it', async () => {
    const handler = gate();
    await using server = await serveOrders(
      { getOrder: handler.getOrder },
      {
        http(app, invoke) {
          app.get('/order', async (request, reply) => {
            const { order } = await invoke(
              OrderService.method.getOrder,
              { id: orderId },
              callOf(request, reply),
            );
            return { id: order?.id };
          });
        },
      },
    );
    const call = fetch(`${server.url}/order`);
    await vi.waitFor(() => expect(handler.waiting).toBe(1));
    const closed = server.close();
    setTimeout(handler.open, 100);
    expect((await call).status).toBe(200);
    const answered = performance.now();
    await closed;
    expect(performance.now() - answered).toBeLessThan(1_000);
  });

  it('says so first, and still answers for a moment', async () => {
    const server = await serveOrders({}, { limits: { drainDelayMs: 2_000 } });
    const client = createClient(OrderService, createGrpcTransport({ baseUrl: server.url }));
    const closed = server.close();
    const ready = await fetch(`${server.url}/health/ready`);
    expect(ready.status).toBe(503);
    expect(await ready.json()).toEqual({ status: 'unavailable', dependencies: { server: 'shutting down' } });
    expect(ready.headers.get('connection')).toBe('close');
    expect((await client.getOrder({ id: orderId })).order?.id).toBe(orderId);
    await closed;
  });

  it('is not held up by connections that rest, say little or stream', async () => {
    const server = await serveOrders({}, { limits: { drainMs: 60_000 } });
    await using little = await rawConnection(server.address);
    await little.write('P');
    await using resting = await rawConnection(server.address);
    await resting.write('GET /healthcheck HTTP/1.1\r\nHost: shop\r\n\r\n');
    await vi.waitFor(() => expect(resting.received()).toContain('OK v1.2.3'));
    const session = connectHttp2(server.url);
    session.on('error', () => {});
    await once(session, 'remoteSettings');
    const started = performance.now();
    await server.close();
    expect(performance.now() - started).toBeLessThan(2_000);
  });

  it('gives up on a call that does not end', async () => {
    const server = await serveOrders({ getOrder: () => new Promise(() => {}) }, { limits: { drainMs: 200 } });
    const call = createClient(OrderService, createGrpcTransport({ baseUrl: server.url })).getOrder({
      id: orderId,
    });
    const failed = expect(call).rejects.toThrow();
    await vi.waitFor(() => expect(server.lines.some(({ msg }) => msg === 'serving')).toBe(true));
    await new Promise((resolve) => setTimeout(resolve, 50));
    await server.close();
    await failed;
    expect(server.lines.some(({ msg }) => msg === 'calls did not end in time')).toBe(true);
  });

  it('happens once, by signal, close and dispose alike', async () => {
    const stop = new AbortController();
    const server = await serveOrders({}, { signal: stop.signal });
    stop.abort();
    await Promise.all([server.close(), server.closed, server[Symbol.asyncDispose]()]);
    expect(server.lines.filter(({ msg }) => msg === 'stopped')).toHaveLength(1);
  });

  it('rejects at the start when the port is taken', async () => {
    await using first = await serveOrders();
    const taken = first.address.port;
    await expect(serveOrders({}, { port: taken })).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await expect(serveOrders({}, { grpcPort: taken })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});

it('ends a handler whose caller is gone', async () => {
  const ended = vi.fn();
  await using server = await serveOrders({
    async listOrders(_, call) {
      await aborted(call);
      ended(call.signal.reason.code);
      return {};
    },
  });
  const session = connectHttp2(server.url);
  const stream = session.request({
    ':method': 'POST',
    ':path': '/tradewind.order.v1.OrderService/ListOrders',
    'content-type': 'application/grpc',
  });
  stream.end(Buffer.alloc(5));
  await once(session, 'remoteSettings');
  await new Promise((resolve) => setTimeout(resolve, 50));
  session.destroy();
  await vi.waitFor(() => expect(ended).toHaveBeenCalledWith(1));
});
