import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { activeSpan, errorType, Span, shared, within } from '../span.ts';
import { startTelemetry, type Telemetry } from '../start.ts';
import { activeSpanContext, currentTraceContext, spanContextOf, traceContextOf } from '../trace-context.ts';
import { type Collector, startCollector } from './collector.ts';

const SAMPLED = spanContextOf({ traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' });
const UNSAMPLED = spanContextOf({ traceparent: '00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00' });
const SCOPE = { scope: 'test' };

let collector: Collector;
let telemetry: Telemetry;
beforeAll(async () => {
  collector = await startCollector();
  telemetry = await startTelemetry({
    service: 'test',
    version: '1.2.3',
    logger: pino({ level: 'silent' }),
    exporter: 'otlp',
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_BSP_SCHEDULE_DELAY: '10',
    },
  });
});
afterAll(async () => {
  await telemetry?.[Symbol.asyncDispose]();
  await collector?.[Symbol.asyncDispose]();
});

const exported = async (span: Span) => {
  await expect.poll(() => collector.spans.some(({ spanId }) => spanId === span.context.spanId)).toBe(true);
  return collector.spans.filter(({ spanId }) => spanId === span.context.spanId);
};

test('a context survives its way as text', () => {
  expect(SAMPLED && traceContextOf(SAMPLED)).toEqual({
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  });
});

test.each([
  undefined,
  '',
  '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331',
  '00-00000000000000000000000000000000-b7ad6b7169203331-01',
  '00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01',
  'ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  '00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01',
])('%s is no context', (traceparent) => {
  expect(spanContextOf({ traceparent })).toBeUndefined();
});

describe('a span', () => {
  test('below one that is recorded is recorded, with what it says', async () => {
    const span = new Span('work', { ...SCOPE, parent: SAMPLED, kind: 'consumer', attributes: { a: 1 } });
    span.event('happened');
    span.end({ b: 'two' });
    const [seen] = await exported(span);
    expect(seen).toMatchObject({
      traceId: SAMPLED?.traceId,
      parentSpanId: SAMPLED?.spanId,
      name: 'work',
      kind: 5,
      events: [{ name: 'happened' }],
    });
    expect(seen?.attributes.map(({ key }) => key)).toEqual(['a', 'b']);
  });

  test('is what runs, over awaits, and is not any more afterwards', async () => {
    const span = new Span('work', { ...SCOPE, parent: SAMPLED });
    await span.run(async () => {
      await new Promise(setImmediate);
      expect(activeSpan()).toBe(span);
      expect(activeSpanContext()?.spanId).toBe(span.context.spanId);
      expect(currentTraceContext().traceparent).toContain(span.context.spanId);
      await within(undefined, async () => {
        expect(activeSpanContext()).toBeUndefined();
        expect(activeSpan()).toBeUndefined();
      });
    });
    expect(activeSpanContext()).toBeUndefined();
  });

  test('below one that is not recorded is not, unless it fails: then under the id that it had', async () => {
    const fine = new Span('fine', { ...SCOPE, parent: UNSAMPLED });
    fine.end();
    const bad = new Span('bad', { ...SCOPE, parent: UNSAMPLED, attributes: { a: 1 } });
    const { spanId, traceId, traceFlags } = bad.context;
    expect(traceFlags).toBe(0);
    bad.failed('P0001');
    expect(bad.context).toMatchObject({ spanId, traceId, traceFlags: 1 });
    const later = new Span('later', { ...SCOPE, parent: bad.context });
    later.end();
    bad.end();
    const [seen] = await exported(bad);
    expect(seen).toMatchObject({ traceId: UNSAMPLED?.traceId, name: 'bad', status: { code: 2 } });
    expect(seen?.status.message ?? '').toBe('');
    await exported(later);
    expect(collector.spans.some(({ spanId }) => spanId === fine.context.spanId)).toBe(false);
  });

  test('that nobody wants to see is not recorded, whatever its parent', () => {
    expect(new Span('probe', { ...SCOPE, parent: null, never: true }).recorded).toBe(false);
  });
});

describe('work that several share', () => {
  test('is a trace of its own, which names them and is named by them', async () => {
    const spans = [1, 2].map(() => new Span('one', { ...SCOPE, parent: null }));
    let inner = '';
    await shared('batch', 'test', spans, { n: 2 }, async () => {
      inner = activeSpanContext()?.spanId ?? '';
    });
    for (const span of spans) span.end();
    const members = (await Promise.all(spans.map(exported))).flat();
    const batch = collector.spans.find(({ spanId }) => spanId === inner);
    expect(batch).toMatchObject({ name: 'batch' });
    expect(batch?.parentSpanId ?? '').toBe('');
    expect(batch?.links.map(({ spanId }) => spanId)).toEqual(spans.map(({ context }) => context.spanId));
    for (const { links } of members) expect(links.map(({ spanId }) => spanId)).toEqual([inner]);
  });

  test('is recorded as often as they are', async () => {
    const unseen = Array.from({ length: 3 }, () => new Span('unseen', { ...SCOPE, parent: UNSAMPLED }));
    let recorded = 0;
    for (let n = 0; n < 1_000; n++) {
      await shared('some', 'test', [new Span('one', { ...SCOPE, parent: null }), ...unseen], {}, async () => {
        if (activeSpanContext()) recorded++;
      });
    }
    // Six standard deviations of so many throws of one in four.
    expect(recorded).toBeGreaterThan(165);
    expect(recorded).toBeLessThan(335);
    await shared('none', 'test', unseen, {}, async () => expect(activeSpanContext()).toBeUndefined());
  });

  test('of one nests', async () => {
    const span = new Span('one', { ...SCOPE, parent: null });
    await shared('batch', 'test', [span], {}, async () => {
      expect(activeSpan()).toBe(span);
    });
    span.end();
    expect((await exported(span))[0]?.links).toEqual([]);
  });

  test('fails as it fails', async () => {
    const spans = [1, 2].map(() => new Span('one', { ...SCOPE, parent: null }));
    const work = shared('doomed', 'test', spans, {}, () =>
      Promise.reject(new RangeError('of alice@example.com')),
    );
    await expect(work).rejects.toThrow('alice');
    await expect.poll(() => collector.spans.find(({ name }) => name === 'doomed')?.status.code).toBe(2);
    expect(JSON.stringify(collector.spans)).not.toContain('alice');
  });
});

test.each([
  [Object.assign(new Error('x'), { code: '23505' }), '23505'],
  [Object.assign(new Error('x'), { code: 13 }), 'Error 13'],
  [new TypeError('x'), 'TypeError'],
  ['x', '_OTHER'],
])('of an error only its kind is kept: %s', (error, type) => {
  expect(errorType(error)).toBe(type);
});
