import { randomUUID } from 'node:crypto';
import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import { OrderService } from '@tradewind/contracts/order/v1/order';
import { BadRequestSchema } from '@tradewind/contracts/third-party/google/rpc/error_details';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createClient as createOurClient } from '../client.ts';
import { callOf } from '../rest.ts';
import type { Server } from '../serve.ts';
import { aborted, type LogLine, orderId, serveOrders } from './orders.ts';

let server: Server & { lines: LogLine[] };

beforeAll(async () => {
  server = await serveOrders(
    {
      async listOrders({ pageToken }, call) {
        if (pageToken === 'crash') throw new Error('password=hunter2 at /srv/order.ts');
        if (pageToken === 'database') {
          throw new Error('insert failed', {
            cause: Object.assign(new Error('connect 10.0.0.7:5432'), { code: 'ECONNREFUSED' }),
          });
        }
        if (pageToken === 'half a pair') throw new ConnectError('bad \ud83d text\n', Code.Aborted);
        if (pageToken === 'slow') await aborted(call);
        if (pageToken === 'stuck') await new Promise(() => {});
        return {
          nextPageToken: `${call.requestId} ${call.header('x-tenant')} ${call.timeoutMs() !== undefined}`,
        };
      },
    },
    {
      http(app, invoke) {
        app.get('/orders', async (request, reply) => {
          const { token } = request.query as { token: string };
          return invoke(OrderService.method.listOrders, { pageToken: token }, callOf(request, reply));
        });
      },
    },
  );
});
afterAll(() => server.close());

const transports: [string, string, () => Transport][] = [
  ['gRPC', 'grpc', () => createGrpcTransport({ baseUrl: server.url })],
  ['gRPC-Web', 'grpc-web', () => createGrpcWebTransport({ baseUrl: server.url, httpVersion: '1.1' })],
  [
    'gRPC-Web over HTTP/2',
    'grpc-web',
    () => createGrpcWebTransport({ baseUrl: server.url, httpVersion: '2' }),
  ],
  ['Connect with JSON', 'connect', () => createConnectTransport({ baseUrl: server.url, httpVersion: '1.1' })],
  [
    'Connect with protobuf',
    'connect',
    () => createConnectTransport({ baseUrl: server.url, httpVersion: '1.1', useBinaryFormat: true }),
  ],
  [
    'Connect by GET',
    'connect',
    () => createConnectTransport({ baseUrl: server.url, httpVersion: '1.1', useHttpGet: true }),
  ],
  ['Connect over HTTP/2', 'connect', () => createConnectTransport({ baseUrl: server.url, httpVersion: '2' })],
];

/** The access log's line of a call. */
function lineOf(requestId: string): LogLine | undefined {
  return server.lines.find(
    ({ request_id, duration_ms }) => request_id === requestId && duration_ms !== undefined,
  );
}

async function failure(call: Promise<unknown>): Promise<ConnectError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ConnectError);
  return error as ConnectError;
}

describe.each(transports)('%s', (_name, face, transport) => {
  const client = () => createClient(OrderService, transport());

  it('answers', async () => {
    const { order } = await client().createOrder({
      customerId: 'c-7',
      lines: [{ productId: 1, quantity: 2, unitPrice: 5_000n }],
    });
    expect(order).toMatchObject({ id: orderId, customerId: 'c-7', totalPrice: 10_000n });
  });

  it('names every field that breaks a rule', async () => {
    const lines = [
      { productId: 1, quantity: 1, unitPrice: 1n },
      { productId: -1, quantity: 0 },
    ];
    const error = await failure(client().createOrder({ lines, currency: 'dollars' }));
    expect(error.code).toBe(Code.InvalidArgument);
    const fields = error.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations);
    expect(fields.map(({ field }) => field).sort()).toEqual([
      'currency',
      'lines[1]',
      'lines[1].product_id',
      'lines[1].quantity',
    ]);
    expect(fields.every(({ description }) => description.length > 0)).toBe(true);
  });

  it("keeps a handler's error and tells nothing of any other", async () => {
    const missing = await failure(client().getOrder({ id: orderId.replace('1', '2') }));
    expect(missing.code).toBe(Code.NotFound);
    expect(missing.rawMessage).toMatch(/^no order /);
    const crash = await failure(client().listOrders({ pageToken: 'crash' }));
    expect(crash.code).toBe(Code.Internal);
    expect(crash.rawMessage).toBe('internal error');
    const logged = server.lines.find(({ err }) => err?.message.includes('hunter2'));
    expect(logged).toMatchObject({ level: 50, method: 'tradewind.order.v1.OrderService/ListOrders' });
  });

  it('says UNAVAILABLE while a dependency is away', async () => {
    const error = await failure(client().listOrders({ pageToken: 'database' }));
    expect(error.code).toBe(Code.Unavailable);
    expect(error.message).not.toContain('10.0.0.7');
  });

  it('survives a message that is no text', async () => {
    const error = await failure(client().listOrders({ pageToken: 'half a pair' }));
    expect(error.code).toBe(Code.Aborted);
  });

  it("takes the caller's request id and gives it back", async () => {
    let returned: string | null = null;
    const { nextPageToken } = await client().listOrders(
      {},
      {
        headers: { 'x-request-id': 'r-17', 'x-tenant': 't-1' },
        onHeader: (headers) => {
          returned = headers.get('x-request-id');
        },
      },
    );
    expect(nextPageToken).toBe('r-17 t-1 true');
    expect(returned).toBe('r-17');
    const line = server.lines.findLast(({ request_id }) => request_id === 'r-17');
    expect(line).toMatchObject({
      method: 'tradewind.order.v1.OrderService/ListOrders',
      face,
      code: 'OK',
      peer: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      duration_ms: expect.any(Number),
    });
  });

  it('replaces a request id that would be trouble in a log', async () => {
    const { nextPageToken } = await client().listOrders({}, { headers: { 'x-request-id': 'x'.repeat(500) } });
    expect(nextPageToken).toMatch(/^[0-9a-f-]{36} /);
  });

  it.each(['slow', 'stuck'])('ends a %s call at its deadline', async (pageToken) => {
    const headers = { 'x-request-id': randomUUID() };
    const error = await failure(client().listOrders({ pageToken }, { timeoutMs: 100, headers }));
    expect(error.code).toBe(Code.DeadlineExceeded);
    // The caller may hang up before the server's own clock says so.
    const code = expect.stringMatching(/^(DEADLINE_EXCEEDED|CANCELED)$/);
    await vi.waitFor(() => expect(lineOf(headers['x-request-id'])).toMatchObject({ code, face }));
  });

  it('stands a deadline of 1 ms', async () => {
    const error = await failure(client().listOrders({ pageToken: 'slow' }, { timeoutMs: 1 }));
    expect(error.code).toBe(Code.DeadlineExceeded);
  });

  it('stops a call whose caller went away', async () => {
    const controller = new AbortController();
    const headers = { 'x-request-id': randomUUID() };
    const call = client().listOrders({ pageToken: 'slow' }, { signal: controller.signal, headers });
    setTimeout(() => controller.abort(), 50);
    expect((await failure(call)).code).toBe(Code.Canceled);
    await vi.waitFor(() => expect(lineOf(headers['x-request-id'])).toMatchObject({ code: 'CANCELED', face }));
  });
});

describe('REST', () => {
  it('runs the same code with the same log line', async () => {
    const response = await fetch(`${server.url}/orders?token=`, {
      headers: { 'x-request-id': 'r-18', 'x-tenant': 't' },
    });
    expect(await response.json()).toMatchObject({ nextPageToken: 'r-18 t true' });
    expect(response.headers.get('x-request-id')).toBe('r-18');
    const lines = server.lines.filter(({ request_id }) => request_id === 'r-18');
    expect(lines).toEqual([expect.objectContaining({ face: 'http', code: 'OK' })]);
  });

  it.each([
    ['crash', 500, 'internal error'],
    ['database', 503, 'a dependency is away, try again later'],
  ])('translates %s to %i', async (token, status, message) => {
    const response = await fetch(`${server.url}/orders?token=${token}`);
    expect(response.status).toBe(status);
    expect(await response.json()).toEqual({
      status,
      message,
      details: [],
      trace_id: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
    expect(response.headers.has('retry-after')).toBe(status === 503);
  });

  it('stops the call of a caller who went away', async () => {
    const controller = new AbortController();
    const isEnd = ({ code, face }: LogLine) => code === 'CANCELED' && face === 'http';
    const call = fetch(`${server.url}/orders?token=stuck`, { signal: controller.signal });
    setTimeout(() => controller.abort(), 50);
    await expect(call).rejects.toThrow();
    await vi.waitFor(() => expect(server.lines.some(isEnd)).toBe(true));
  });
});

it('gives a call a deadline when its caller says none', async () => {
  await using impatient = await serveOrders(
    { listOrders: () => new Promise(() => {}) },
    { limits: { deadlineMs: 50 } },
  );
  for (const transport of [
    createGrpcTransport({ baseUrl: impatient.url }),
    createConnectTransport({ baseUrl: impatient.url, httpVersion: '1.1' }),
  ]) {
    const error = await failure(createClient(OrderService, transport).listOrders({}));
    expect(error.code).toBe(Code.DeadlineExceeded);
  }
});

it('counts calls for Prometheus', async () => {
  await using client = createOurClient(OrderService, { baseUrl: server.url });
  await client.call.getOrder({ id: orderId });
  const text = await (await fetch(`${server.url}/metrics`)).text();
  expect(text).toMatch(
    /^rpc_server_duration_seconds_count\{method="tradewind\.order\.v1\.OrderService\/GetOrder",face="grpc",code="OK",service="[^"]+"\} [1-9]/m,
  );
  expect(text).toMatch(/^process_cpu_seconds_total/m);
});
