import { startJaeger } from '@tradewind/testing/jaeger';
import { readTraces } from '@tradewind/testing/jaeger-traces';
import { expect, inject, test } from 'vitest';
import { startMarket } from './tracing/market.ts';
import { shape, text } from './tracing/shape.ts';

const urls = inject('jaeger');
const jaeger = readTraces(urls.query);
const shapeOf = async (traceId: string) => shape((await jaeger.trace(traceId))?.spans ?? []);

test('linked traces instead of children, and by the Jaeger exporter', async () => {
  await using market = await startMarket('postgres', {
    OTEL_TRACES_EXPORTER: 'jaeger',
    OTEL_EXPORTER_JAEGER_ENDPOINT: urls.thrift,
    TRACE_CONSUMERS: 'link',
  });
  const { id, traceId } = await market.place();
  expect(await market.settled(id)).toBe('CONFIRMED');
  // That exporter says nothing of spans that are neither a call's nor a message's.
  await expect
    .poll(() => shapeOf(traceId))
    .toBe(
      text(`
        order · POST /api/v1/orders · server
          order · tradewind.order.v1.OrderService/CreateOrder · none
            order · create order.created · producer
              order · send order.created · client`),
    );
  const told = (await jaeger.trace(traceId))?.spans.find(({ name }) => name === 'create order.created');
  const about = { 'messaging.message.conversation_id': id };
  const heard = () => jaeger.find({ service: 'stock', operation: 'process order.created', tags: about });
  await expect
    .poll(async () => (await heard()).map(({ spans }) => shape(spans)))
    .toEqual([
      text(`
      stock · receive order.created · client
        stock · process order.created · consumer
          stock · create stock.reserved · producer
            stock · send stock.reserved · client`),
    ]);
  const [trace] = await heard();
  expect(trace?.traceId).not.toBe(traceId);
  expect(trace?.spans.find(({ name }) => name === 'receive order.created')?.links).toEqual([
    { refType: 'FOLLOWS_FROM', traceId, spanId: told?.spanId },
  ]);
});

test('what fails is seen from there on, though the head of its trace had said no', async () => {
  await using market = await startMarket('postgres', {
    OTEL_EXPORTER_OTLP_ENDPOINT: urls.otlpHttp,
    OTEL_TRACES_SAMPLER: 'parentbased_always_off',
  });
  const fine = await market.place();
  expect(await market.settled(fine.id)).toBe('CONFIRMED');
  await market.failReservations(1);
  const { id, traceId } = await market.place();
  expect(await market.settled(id)).toBe('CONFIRMED');
  await expect
    .poll(() => shapeOf(traceId))
    .toBe(
      text(`
        stock · process order.created · consumer · error · exception, hold
          stock · process order.created · consumer
            stock · create stock.reserved · producer
              order · process stock.reserved · consumer
                order · create order.confirmed · producer
                  order · send order.confirmed · client
              order · receive stock.reserved · client
              stock · send stock.reserved · client`),
    );
  // The lines about the failure name the span that is seen.
  const [failed] = (await jaeger.trace(traceId))?.spans.filter(({ error }) => error) ?? [];
  expect(failed?.tags).toMatchObject({ 'error.type': 'P0001' });
  expect(await jaeger.trace(fine.traceId)).toBeUndefined();
});

test('a Collector that is not there, comes, dies and comes again costs nothing but spans', async () => {
  await using own = await startJaeger();
  await own.kill();
  await using market = await startMarket('postgres', {
    OTEL_EXPORTER_OTLP_ENDPOINT: own.urls.otlpHttp,
    OTEL_BSP_EXPORT_TIMEOUT: '500',
    OTEL_EXPORTER_OTLP_TIMEOUT: '400',
  });
  const traces = readTraces(own.urls.query);
  const confirmed = async () => {
    const { id, traceId } = await market.place();
    expect(await market.settled(id)).toBe('CONFIRMED');
    return traceId;
  };
  const seen = async () => {
    const traceId = await confirmed();
    return await traces
      .until(traceId, (spans) => spans.length > 10, { deadlineMs: 2_000 })
      .then(
        () => true,
        () => false,
      );
  };
  await confirmed();
  await expect.poll(() => market.logs()).toContain('tracing: nobody takes the spans yet');
  await own.start();
  await expect.poll(seen, { timeout: 30_000 }).toBe(true);
  await own.kill();
  for (let n = 0; n < 20; n++) await confirmed();
  await expect.poll(() => market.logs()).toContain('tracing: spans are lost until the exporter works again');
  await own.start();
  await expect.poll(seen, { timeout: 30_000 }).toBe(true);
  expect(await market.logs()).toContain('tracing: spans are exported again');
});
