import { Code, createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { OrderService } from '@tradewind/contracts/order/v1/order';
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from '@tradewind/contracts/third-party/grpc/health/v1/health';
import { describe, expect, it, vi } from 'vitest';
import type { HealthReport } from '../serve.ts';
import { serveOrders } from './orders.ts';

const ready: HealthReport = { status: 'ready', dependencies: { database: 'ok' } };
const down: HealthReport = { status: 'unavailable', dependencies: { database: 'not reachable' } };

function switchable(first = ready) {
  const health = { now: first, check: async () => health.now };
  return health;
}

describe('GET /health/ready', () => {
  it.each([
    [ready, 200],
    [{ status: 'degraded', dependencies: { broker: 'away' } } as const, 200],
    [down, 503],
  ])('answers %j with %i', async (report, status) => {
    await using server = await serveOrders({}, { health: switchable(report) });
    const response = await fetch(`${server.url}/health/ready`);
    expect(response.status).toBe(status);
    expect(await response.json()).toEqual(report);
    expect((await fetch(`${server.url}/health/live`)).status).toBe(200);
  });

  it('tells nothing of a check that failed but that it did', async () => {
    const check = async () => {
      throw new Error('postgres://user:hunter2@db');
    };
    await using server = await serveOrders({}, { health: { check } });
    const response = await fetch(`${server.url}/health/ready`);
    expect(response.status).toBe(503);
    expect(await response.text()).not.toContain('hunter2');
  });
});

describe.each([
  ['gRPC', (baseUrl: string) => createGrpcTransport({ baseUrl })],
  ['Connect', (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: '1.1' })],
])('the health service by %s', (_name, transport) => {
  it('checks the server and each service, and knows no other', async () => {
    const health = switchable();
    await using server = await serveOrders({}, { health });
    const client = createClient(Health, transport(server.url));
    expect(await client.check({})).toMatchObject({ status: Status.SERVING });
    expect(await client.check({ service: OrderService.typeName })).toMatchObject({ status: Status.SERVING });
    await expect(client.check({ service: 'nobody' })).rejects.toMatchObject({ code: Code.NotFound });
    expect(Object.keys((await client.list({})).statuses).sort()).toEqual(['', OrderService.typeName]);
    health.now = down;
    await vi.waitFor(async () =>
      expect(await client.check({})).toMatchObject({ status: Status.NOT_SERVING }),
    );
  });

  it('tells who watches of each change, until the server goes', async () => {
    const health = switchable();
    const server = await serveOrders({}, { health, limits: { drainDelayMs: 50, goawayMs: 10 } });
    const client = createClient(Health, transport(server.url));
    const seen: Status[] = [];
    const watching = (async () => {
      for await (const { status } of client.watch({ service: OrderService.typeName })) seen.push(status);
    })();
    const over = expect(watching).rejects.toMatchObject({ code: Code.Unavailable });
    await vi.waitFor(() => expect(seen).toEqual([Status.SERVING]));
    health.now = down;
    await vi.waitFor(() => expect(seen).toEqual([Status.SERVING, Status.NOT_SERVING]), 5_000);
    health.now = ready;
    await vi.waitFor(() => expect(seen).toHaveLength(3), 5_000);
    await server.close();
    await over;
    expect(seen).toEqual([Status.SERVING, Status.NOT_SERVING, Status.SERVING, Status.NOT_SERVING]);
  });

  it('keeps a watch of an unknown service open', async () => {
    await using server = await serveOrders();
    const client = createClient(Health, transport(server.url));
    const watch = client.watch({ service: 'nobody' })[Symbol.asyncIterator]();
    expect((await watch.next()).value).toMatchObject({ status: Status.SERVICE_UNKNOWN });
    const next = watch.next().then(
      () => 'told',
      () => 'ended',
    );
    expect(await Promise.race([next, new Promise((resolve) => setTimeout(resolve, 100, 'open'))])).toBe(
      'open',
    );
  });
});
