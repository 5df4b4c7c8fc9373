import { createClient as createConnectClient } from '@connectrpc/connect';
import { createGrpcWebTransport } from '@connectrpc/connect-web';
import { OrderService } from '@tradewind/contracts/order/v1/order';
import { createClient } from '@tradewind/rpc/client';
import { readTraces, type Trace, type TraceReader, type TraceSpan } from '@tradewind/testing/jaeger-traces';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { runTool } from '../tools/test/tool-process.ts';
import { type LogKind, type Market, startMarket, traceIdOf } from './tracing/market.ts';
import { type ShapeOptions, shape, text } from './tracing/shape.ts';

const named = (name: string, service?: string) => (span: TraceSpan) =>
  span.name === name && (service === undefined || span.service === service);
const has = (spans: readonly TraceSpan[], name: string, count = 1) =>
  spans.filter(named(name)).length >= count;
const one = ({ spans }: Trace, name: string, service?: string): TraceSpan => {
  const [span, ...more] = spans.filter(named(name, service));
  expect(more).toEqual([]);
  if (!span) throw new Error(`no span ${name}`);
  return span;
};

/** What every confirmed order's trace has from its fact on, below the span of the call that placed it. */
const CONFIRMED = `
  order · create order.created · producer
    order · send order.created · client
    stock · process order.created · consumer
      stock · create stock.reserved · producer
        order · process stock.reserved · consumer
          order · create order.confirmed · producer
            order · send order.confirmed · client
        order · receive stock.reserved · client
        stock · send stock.reserved · client
    stock · receive order.created · client`;
/** Under what placed it. */
const below = (lines: string, caller: string) => text(caller) + CONFIRMED.replaceAll('\n', `\n${lines}`);

describe.each<LogKind>(['postgres', 'kafka'])('one saga, one trace, on %s', (kind) => {
  let market: Market;
  let jaeger: TraceReader;
  beforeAll(async () => {
    const urls = inject('jaeger');
    jaeger = readTraces(urls.query);
    market = await startMarket(kind, { OTEL_EXPORTER_OTLP_ENDPOINT: urls.otlpHttp, RETRY_ATTEMPTS: '3' });
  }, 180_000);
  afterAll(() => market?.[Symbol.asyncDispose]());

  /** Waits until a trace has this shape: its spans come from several processes, each when it sees fit. */
  const shaped = async (traceId: string, expected: string, options?: ShapeOptions): Promise<Trace> => {
    const now = async () => shape((await jaeger.trace(traceId))?.spans ?? [], options);
    await expect.poll(now, { timeout: 20_000 }).toBe(expected);
    return await jaeger.until(traceId, (spans) => spans.length > 0);
  };
  const CALLED = below('', 'order · tradewind.order.v1.OrderService/CreateOrder · server');
  const PLACED = below(
    '  ',
    'order · POST /api/v1/orders · server\n  order · tradewind.order.v1.OrderService/CreateOrder · internal',
  );

  test('a confirmed order by REST, with its statements', async () => {
    const { id, traceId } = await market.place();
    const { spans } = await shaped(
      traceId,
      text(`
        order · POST /api/v1/orders · server
          order · tradewind.order.v1.OrderService/CreateOrder · internal
            order · BEGIN · client
            order · COMMIT · client
            order · create order.created · producer
              order · send order.created · client
              stock · process order.created · consumer
                stock · BEGIN · client
                stock · COMMIT · client
                stock · create stock.reserved · producer
                  order · process stock.reserved · consumer
                    order · BEGIN · client
                    order · COMMIT · client
                    order · create order.confirmed · producer
                      order · send order.confirmed · client
                    order · INSERT inbox · client
                    order · INSERT outbox · client
                    order · SELECT held_line · client
                    order · SELECT orders · client
                    order · UPDATE orders · client
                  order · receive stock.reserved · client
                  stock · send stock.reserved · client
                stock · INSERT inbox · client
                stock · INSERT movement · client
                stock · INSERT outbox · client
                stock · INSERT reservation · client
                stock · SELECT held_line · client
                stock · SELECT reservation · client
                stock · SELECT stock · client
                stock · UPDATE stock · client
              stock · receive order.created · client
            order · INSERT orders · client
            order · INSERT outbox · client`),
      { statements: true },
    );
    const root = spans.find(({ parentId }) => parentId === undefined);
    expect(root?.tags).toMatchObject({
      'http.request.method': 'POST',
      'http.route': '/api/v1/orders',
      'http.response.status_code': 201,
    });
    const process = one({ traceId, spans }, 'process order.created');
    expect(process.tags).toMatchObject({
      'messaging.system': kind === 'kafka' ? 'kafka' : 'postgresql',
      'messaging.destination.name': 'order.created',
      'messaging.consumer.group.name': 'stock',
      'messaging.message.conversation_id': id,
      'messaging.operation.type': 'process',
    });
    expect(process.resource).toMatchObject({ 'service.namespace': 'tradewind', 'service.version': '0.1.0' });
  });

  test('the saga, too, tells its trace', async () => {
    const { id, traceId } = await market.place();
    await market.settled(id);
    const saga = await fetch(`${market.urls.order}/api/v1/orders/${id}/saga`);
    expect(await saga.json()).toMatchObject({ state: 'SETTLED', trace_id: traceId });
  });

  test('how long a fact waited, in the outbox and on the topic, is to be seen', async () => {
    const trace = await market.place().then(({ traceId }) => shaped(traceId, PLACED));
    const [create, send, receive, process] = ['create', 'send', 'receive', 'process'].map((name) =>
      one(trace, `${name} order.created`),
    ) as [TraceSpan, TraceSpan, TraceSpan, TraceSpan];
    expect(send.startUs).toBeGreaterThanOrEqual(create.startUs + create.durationUs);
    expect(send.tags['tradewind.outbox.wait_ms']).toBeGreaterThanOrEqual(0);
    // By the log's clock, which may have whole milliseconds.
    expect(receive.startUs).toBeGreaterThanOrEqual(send.startUs - 2_000);
    expect(receive.tags['tradewind.topic.wait_ms']).toBe(Math.round(receive.durationUs / 1_000));
    expect(process.startUs).toBeGreaterThanOrEqual(receive.startUs + receive.durationUs - 1_000);
  });

  test('an order that stock can not fill', async () => {
    const { id, traceId } = await market.place(1, 1_000_000);
    expect(await market.settled(id)).toBe('CANCELED');
    await shaped(
      traceId,
      text(`
        order · POST /api/v1/orders · server
          order · tradewind.order.v1.OrderService/CreateOrder · internal
            order · create order.created · producer
              order · send order.created · client
              stock · process order.created · consumer
                stock · create stock.exceeded-amount · producer
                  order · process stock.exceeded-amount · consumer
                    order · create order.canceled · producer
                      order · send order.canceled · client
                      stock · process order.canceled · consumer
                      stock · receive order.canceled · client
                  order · receive stock.exceeded-amount · client
                  stock · send stock.exceeded-amount · client
              stock · receive order.created · client`),
    );
  });

  const order = { lines: [{ productId: 1, quantity: 1, unitPrice: 100n }] };
  test('an order by gRPC, below the trace of its caller', async () => {
    await using client = createClient(OrderService, { baseUrl: market.urls.order });
    const traceId = '0af7651916cd43dd8448eb211c80319c'.replace(/.{4}$/, kind === 'kafka' ? 'aaaa' : 'bbbb');
    const headers = { traceparent: `00-${traceId}-b7ad6b7169203331-01` };
    let answered = new Headers();
    await client.call.createOrder(order, { headers, onHeader: (header) => (answered = header) });
    expect(traceIdOf(answered)).toBe(traceId);
    const { spans } = await shaped(traceId, CALLED);
    const { tags } = one({ traceId, spans }, 'tradewind.order.v1.OrderService/CreateOrder');
    expect(tags).toMatchObject({
      'rpc.system.name': 'grpc',
      'rpc.method': 'tradewind.order.v1.OrderService/CreateOrder',
      'rpc.response.status_code': 'OK',
    });
  });

  test('an order by Connect, and one by gRPC-Web', async () => {
    const answer = await fetch(`${market.urls.order}/tradewind.order.v1.OrderService/CreateOrder`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"lines":[{"productId":1,"quantity":1,"unitPrice":"100"}]}',
    });
    expect(answer.status).toBe(200);
    const web = createConnectClient(OrderService, createGrpcWebTransport({ baseUrl: market.urls.order }));
    let answered = new Headers();
    await web.createOrder(order, { onHeader: (header) => (answered = header) });
    for (const [traceId, system] of [
      [traceIdOf(answer.headers), 'connectrpc'],
      [traceIdOf(answered), 'grpc'],
    ] as const) {
      const { spans } = await shaped(traceId, CALLED);
      const { tags } = one({ traceId, spans }, 'tradewind.order.v1.OrderService/CreateOrder');
      expect(tags).toMatchObject({ 'rpc.system.name': system });
    }
  });

  test('GraphQL: a product that stock hears of, and one that stock is asked about', async () => {
    const ask = async (query: string) => {
      const answer = await fetch(`${market.urls.product}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query }),
      });
      expect(await answer.json()).not.toHaveProperty('errors');
      return traceIdOf(answer.headers);
    };
    await shaped(
      await ask('mutation { createProduct(input: { name: "Lamp", price: 12.5 }) { id } }'),
      text(`
        product · POST /graphql · server
          product · tradewind.product.v1.ProductService/CreateProduct · internal
            product · create product.created · producer
              product · send product.created · client
              ratings · process product.created · consumer
              ratings · receive product.created · client
              stock · process product.created · consumer
              stock · receive product.created · client`),
    );
    await shaped(
      await ask('{ productById(id: 1) { name stock } }'),
      text(`
        product · POST /graphql · server
          product · tradewind.product.v1.ProductService/BatchGetProducts · internal
          product · tradewind.stock.v1.StockService/BatchGetStock · client
            stock · tradewind.stock.v1.StockService/BatchGetStock · server`),
    );
  });

  test('one that is retried: each failure with its wait, and then the rest', async () => {
    await market.failReservations(2);
    const { id, traceId } = await market.place();
    expect(await market.settled(id)).toBe('CONFIRMED');
    const { spans } = await shaped(
      traceId,
      text(`
        order · POST /api/v1/orders · server
          order · tradewind.order.v1.OrderService/CreateOrder · internal
            order · create order.created · producer
              order · send order.created · client
              stock · process order.created · consumer · error · exception, hold
                stock · process order.created · consumer
                  stock · create stock.reserved · producer
                    order · process stock.reserved · consumer
                      order · create order.confirmed · producer
                        order · send order.confirmed · client
                    order · receive stock.reserved · client
                    stock · send stock.reserved · client
                stock · process order.created · consumer · error · exception, hold
              stock · receive order.created · client`),
    );
    const failed = spans.filter(({ error }) => error && true).filter(named('process order.created'));
    for (const { tags, spanId } of failed) {
      expect(tags).toMatchObject({ 'error.type': 'P0001' });
      const ids = `"trace_id":"${traceId}","span_id":"${spanId}"`;
      expect((await market.logs()).split('\n')).toContainEqual(
        expect.stringMatching(new RegExp(`${ids}.*"an event failed`)),
      );
    }
  });

  test('one that is given up on, and brought back', async () => {
    await market.failReservations(3);
    const { id, traceId } = await market.place();
    await jaeger.until(traceId, (spans) => has(spans, 'send order.created.dlq'));
    const { code, out, err } = await runTool('dlq', ['redrive', '--all'], market.env);
    expect({ code, err, out }).toMatchObject({ code: 0 });
    expect(await market.settled(id)).toBe('CONFIRMED');
    await shaped(
      traceId,
      text(`
        order · POST /api/v1/orders · server
          order · tradewind.order.v1.OrderService/CreateOrder · internal
            order · create order.created · producer
              order · send order.created · client
              stock · process order.created · consumer · error · exception, hold
                stock · process order.created · consumer · error · exception, dead letter
                  stock · create order.created.dlq · producer
                    stock · process stock.redrive · consumer · redrive
                      stock · create stock.reserved · producer
                        order · process stock.reserved · consumer
                          order · create order.confirmed · producer
                            order · send order.confirmed · client
                        order · receive stock.reserved · client
                        stock · send stock.reserved · client
                    stock · receive stock.redrive · client
                    stock · send order.created.dlq · client
                stock · process order.created · consumer · error · exception, hold
              stock · receive order.created · client`),
    );
  });

  test('fifty at once: each whole, and what they share in traces that name them and are named by them', async () => {
    const placed = await Promise.all(Array.from({ length: 50 }, () => market.place()));
    const traces = await Promise.all(placed.map(({ traceId }) => shaped(traceId, PLACED)));
    const shared = traces.flatMap((trace) => {
      const process = one(trace, 'process order.created');
      return process.links.map(({ traceId }) => ({ traceId, process }));
    });
    expect(shared.length).toBeGreaterThan(0);
    for (const { traceId, process } of shared) {
      const trace = await jaeger.until(traceId, (spans) => has(spans, 'process batch'));
      const batch = one(trace, 'process batch');
      expect(batch.links).toContainEqual(
        expect.objectContaining({ traceId: process.traceId, spanId: process.spanId }),
      );
      expect(batch.tags['messaging.batch.message_count']).toBeGreaterThan(1);
      expect(process.tags['messaging.batch.message_count']).toBe(batch.tags['messaging.batch.message_count']);
      expect(trace.spans.filter(({ parentId }) => parentId === batch.spanId).map(({ name }) => name)).toEqual(
        expect.arrayContaining(['BEGIN', 'INSERT inbox', 'COMMIT']),
      );
    }
  });

  test('every answer and every line of a call tells its trace', async () => {
    const answer = await fetch(`${market.urls.order}/api/v1/orders/none`);
    const traceId = traceIdOf(answer.headers);
    expect(await answer.json()).toMatchObject({ status: 400, trace_id: traceId });
    const nowhere = await fetch(`${market.urls.order}/nowhere`);
    expect(await nowhere.json()).toMatchObject({ status: 404, trace_id: traceIdOf(nowhere.headers) });
    await expect.poll(() => market.logs()).toContain(`"trace_id":"${traceId}"`);
    const { spans } = await jaeger.until(traceId, (all) => all.length >= 2);
    for (const { spanId, kind: of } of spans)
      if (of === 'internal') expect(await market.logs()).toContain(`"span_id":"${spanId}"`);
  });

  test('nothing personal is in spans, metrics and logs', async () => {
    const personal = { 'user-agent': 'bob@example.com', cookie: 'a=bob@example.com' };
    const post = (body: object) =>
      fetch(`${market.urls.order}/api/v1/orders`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...personal },
        body: JSON.stringify({ customer_id: 'bob@example.com', ...body }),
      });
    const lines = [{ product_id: 1, quantity: 1, unit_price: 100 }];
    await shaped(traceIdOf((await post({ lines })).headers), PLACED);
    const wrong = [
      await post({ lines, currency: 'bob@example.com' }),
      await post({ lines: 'bob@example.com' }),
      await fetch(`${market.urls.order}/api/v1/orders?page_token=bob@example.com`, { headers: personal }),
      await fetch(`${market.urls.order}/api/v1/orders?customer_id=bob@example.com`, { headers: personal }),
    ];
    for (const { headers } of wrong) await jaeger.until(traceIdOf(headers), (spans) => spans.length > 0);
    // Alice is in an error of the database, whose words the log has to have.
    for (const service of ['order', 'stock', 'product']) {
      const spans = JSON.stringify(await jaeger.find({ service, limit: 1_000 }));
      expect(spans).toContain(service);
      expect(spans.match(/.{0,60}(alice|bob|Lamp).{0,60}/)?.[0]).toBeUndefined();
      const metrics = await (await fetch(`${market.urls[service as 'order']}/metrics`)).text();
      expect(metrics).toContain('tradewind_');
      expect(metrics.match(/.{0,60}(alice|bob|Lamp).{0,60}/)?.[0]).toBeUndefined();
    }
    expect((await market.logs()).match(/.{0,200}(bob|Lamp).{0,60}/)?.[0]).toBeUndefined();
  });
});
