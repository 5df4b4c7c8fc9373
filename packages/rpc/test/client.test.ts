import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Code, ConnectError } from '@connectrpc/connect';
import { OrderService } from '@tradewind/contracts/order/v1/order';
import { BadRequestSchema } from '@tradewind/contracts/third-party/google/rpc/error_details';
import { Health } from '@tradewind/contracts/third-party/grpc/health/v1/health';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type ClientOptions, createClient, onBehalfOf } from '../client.ts';
import { Retry } from '../retry.ts';
import { aborted, orderId, serveOrders } from './orders.ts';

const quick = { baseMs: 1, maxMs: 5 };
const line = { productId: 1, quantity: 1, unitPrice: 1n };

/** A server that is UNAVAILABLE `failures` times for every method, and counts. */
async function flaky(failures: number) {
  const state = { calls: 0 };
  const answer = async () => {
    state.calls += 1;
    if (state.calls <= failures) throw new ConnectError('not now', Code.Unavailable);
    return {};
  };
  const server = await serveOrders({
    getOrder: answer,
    createOrder: answer,
    cancelOrder: answer,
    listOrders: answer,
  });
  return Object.assign(server, { state });
}

function clientOf(server: { url: string }, options: Partial<ClientOptions> = {}) {
  return createClient(OrderService, { baseUrl: server.url, retry: quick, ...options });
}

describe('retries', () => {
  it('what has no side effects or is idempotent by contract', async () => {
    await using server = await flaky(2);
    await using client = clientOf(server);
    await client.call.getOrder({ id: orderId });
    expect(server.state.calls).toBe(3);
    server.state.calls = 0;
    await client.call.cancelOrder({ id: orderId });
    expect(server.state.calls).toBe(3);
  });

  it('nothing else, unless it carries an idempotency key', async () => {
    await using server = await flaky(2);
    await using client = clientOf(server);
    await expect(client.call.createOrder({ lines: [line] })).rejects.toMatchObject({
      code: Code.Unavailable,
    });
    expect(server.state.calls).toBe(1);
    await client.call.createOrder({ lines: [line] }, { headers: { 'idempotency-key': 'k-1' } });
    expect(server.state.calls).toBe(3);
  });

  it('only so often', async () => {
    await using server = await flaky(Number.POSITIVE_INFINITY);
    await using client = clientOf(server);
    await expect(client.call.getOrder({ id: orderId })).rejects.toMatchObject({ code: Code.Unavailable });
    expect(server.state.calls).toBe(4);
  });

  it('no more than the budget allows when everything fails', async () => {
    await using server = await flaky(Number.POSITIVE_INFINITY);
    await using client = clientOf(server);
    for (let call = 0; call < 100; call += 1) await client.call.getOrder({ id: orderId }).catch(() => {});
    // 100 calls, 20 retries earned by them, 10 saved up before.
    expect(server.state.calls).toBeGreaterThan(115);
    expect(server.state.calls).toBeLessThanOrEqual(131);
  });

  it('nothing that failed for another reason', async () => {
    const getOrder = vi.fn(async () => {
      throw new ConnectError('no', Code.NotFound);
    });
    await using server = await serveOrders({ getOrder });
    await using client = clientOf(server);
    await expect(client.call.getOrder({ id: orderId })).rejects.toMatchObject({ code: Code.NotFound });
    expect(getOrder).toHaveBeenCalledTimes(1);
  });

  it('with pauses anywhere between nothing and twice the last', async () => {
    const pauses: number[] = [];
    for (let run = 0; run < 20; run += 1) {
      const retry = new Retry({ attempts: 2, baseMs: 40, maxMs: 40 });
      let failedAt = 0;
      await retry.run(Date.now() + 5_000, undefined, async () => {
        if (failedAt > 0) {
          pauses.push(performance.now() - failedAt);
          return;
        }
        failedAt = performance.now();
        throw new ConnectError('not now', Code.Unavailable);
      });
    }
    expect(Math.min(...pauses)).toBeLessThan(15);
    expect(Math.max(...pauses) - Math.min(...pauses)).toBeGreaterThan(10);
  });

  it('not when the deadline would pass first', async () => {
    const attempt = vi.fn(async () => {
      throw new ConnectError('not now', Code.Unavailable);
    });
    await expect(
      new Retry({ baseMs: 1e9, maxMs: 1e9 }).run(Date.now() + 20, undefined, attempt),
    ).rejects.toThrow();
    expect(attempt).toHaveBeenCalledTimes(1);
  });
});

describe('a call', () => {
  it('has a deadline', async () => {
    await using server = await serveOrders({ getOrder: () => new Promise(() => {}) });
    await using client = clientOf(server, { timeoutMs: 60 });
    await expect(client.call.getOrder({ id: orderId })).rejects.toMatchObject({
      code: Code.DeadlineExceeded,
    });
    const once = client.call.getOrder({ id: orderId }, { timeoutMs: 1 });
    await expect(once).rejects.toMatchObject({ code: Code.DeadlineExceeded });
  });

  it('ends with its signal', async () => {
    await using server = await serveOrders({ getOrder: () => new Promise(() => {}) });
    await using client = clientOf(server);
    const signal = AbortSignal.timeout(30);
    await expect(client.call.getOrder({ id: orderId }, { signal })).rejects.toMatchObject({
      code: Code.Canceled,
    });
    await expect(client.call.getOrder({ id: orderId }, { signal })).rejects.toMatchObject({
      code: Code.Canceled,
    });
  });

  it('tells errors with their details', async () => {
    await using server = await serveOrders();
    await using client = clientOf(server);
    const error = await client.call
      .getOrder({ id: 'seven' })
      .catch((reason: unknown) => reason as ConnectError);
    if (!(error instanceof ConnectError)) throw new Error('no error');
    expect(error.findDetails(BadRequestSchema)[0]?.fieldViolations[0]?.field).toBe('id');
  });

  it('on behalf of another passes on request id, deadline and end', async () => {
    const seen: unknown[] = [];
    await using back = await serveOrders({
      async getOrder(_, call) {
        seen.push(call.requestId, call.timeoutMs());
        await aborted(call);
        seen.push('aborted');
        return {};
      },
    });
    await using toBack = clientOf(back);
    await using front = await serveOrders({
      getOrder: (request, call) => toBack.call.getOrder(request, onBehalfOf(call)),
    });
    await using client = clientOf(front);
    const options = { timeoutMs: 200, headers: { 'x-request-id': 'r-9' } };
    await expect(client.call.getOrder({ id: orderId }, options)).rejects.toMatchObject({
      code: Code.DeadlineExceeded,
    });
    await vi.waitFor(() => expect(seen).toEqual(['r-9', expect.any(Number), 'aborted']));
    expect(seen[1]).toBeLessThanOrEqual(200);
  });

  it('streams, until its signal aborts', async () => {
    await using server = await serveOrders();
    await using client = createClient(Health, { baseUrl: server.url });
    const stop = new AbortController();
    const watching = async () => {
      for await (const { status } of client.call.watch({}, { signal: stop.signal })) {
        expect(status).toBe(1);
        stop.abort();
      }
    };
    await expect(watching()).rejects.toMatchObject({ code: Code.Canceled });
    await vi.waitFor(() => {
      const line = server.lines.find(({ method }) => method === 'grpc.health.v1.Health/Watch');
      expect(line).toMatchObject({ code: 'CANCELED' });
    });
  });

  it('to nobody is UNAVAILABLE', async () => {
    const server = await serveOrders();
    await server.close();
    await using client = clientOf(server, { waitMs: 100 });
    await expect(client.call.getOrder({ id: orderId })).rejects.toMatchObject({ code: Code.Unavailable });
  });
});

describe('a server that restarts', () => {
  it('fails no idempotent call and kills no client process', async () => {
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    process.on('uncaughtException', unhandled);
    let server = await serveOrders();
    const { port } = server.address;
    await using client = clientOf(server, {
      retry: { baseMs: 100, maxMs: 500, attempts: 1_000, reserve: 10_000 },
      timeoutMs: 60_000,
    });
    let stop = false;
    let answered = 0;
    const worker = async () => {
      while (!stop) {
        await client.call.getOrder({ id: orderId });
        answered += 1;
      }
    };
    const workers = Promise.all(Array.from({ length: 8 }, worker));
    for (let restart = 0; restart < 3; restart += 1) {
      const before = answered;
      await vi.waitFor(() => expect(answered).toBeGreaterThan(before + 50), 30_000);
      await server.close();
      server = await serveOrders({}, { port });
    }
    const before = answered;
    await vi.waitFor(() => expect(answered).toBeGreaterThan(before + 50), 30_000);
    stop = true;
    await workers;
    await server.close();
    expect(unhandled).not.toHaveBeenCalled();
    process.off('unhandledRejection', unhandled);
    process.off('uncaughtException', unhandled);
  }, 90_000);

  it('by kill fails no idempotent call and kills no client process', async () => {
    const start = async (port: number) => {
      const child = fork(join(import.meta.dirname, 'orders-process.ts'), [String(port)]);
      onTestFinished(() => void child.kill('SIGKILL'));
      const [message] = (await once(child, 'message')) as [{ port: number }];
      return { child, port: message.port };
    };
    let { child, port } = await start(0);
    await using client = createClient(OrderService, {
      baseUrl: `http://127.0.0.1:${port}`,
      retry: { baseMs: 200, maxMs: 1_000, attempts: 1_000, reserve: 10_000 },
      timeoutMs: 60_000,
    });
    let stop = false;
    let answered = 0;
    const worker = async () => {
      while (!stop) {
        await client.call.getOrder({ id: orderId });
        answered += 1;
      }
    };
    const workers = Promise.all(Array.from({ length: 4 }, worker));
    await vi.waitFor(() => expect(answered).toBeGreaterThan(50), 30_000);
    child.kill('SIGKILL');
    await once(child, 'exit');
    ({ child, port } = await start(port));
    const before = answered;
    await vi.waitFor(() => expect(answered).toBeGreaterThan(before + 50), 30_000);
    stop = true;
    await workers;
    child.kill('SIGKILL');
  }, 90_000);
});
