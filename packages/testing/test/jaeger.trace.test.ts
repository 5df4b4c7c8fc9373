import { existsSync } from 'node:fs';
import { expect, inject, test } from 'vitest';
import { startJaeger } from '../jaeger.ts';
import { readTraces, tree } from '../jaeger-traces.ts';
import { nanos, newSpanId, newTraceId, sendSpans, span } from './otlp.ts';

const traces = () => readTraces(inject('jaeger').query);

test('a trace of two services comes back with its parents, kinds, tags, events, links and errors', async () => {
  const [traceId, first, second, third] = [newTraceId(), newSpanId(), newSpanId(), newSpanId()];
  const other = { traceId: `0000000000000000${newSpanId()}`, spanId: newSpanId() };
  const start = Date.now();
  const at = (from: number, to: number) => ({
    startTimeUnixNano: nanos(start + from),
    endTimeUnixNano: nanos(start + to),
  });
  const { otlpHttp } = inject('jaeger');
  await sendSpans(otlpHttp, 'there', [
    span('process', { traceId, spanId: third, parentSpanId: second, kind: 5, ...at(6, 8) }),
  ]);
  await sendSpans(otlpHttp, 'here', [
    span('send', { traceId, spanId: second, parentSpanId: first, kind: 4, ...at(3, 4) }),
    span('work', { traceId, spanId: newSpanId(), parentSpanId: first, kind: 0, ...at(5, 6) }),
    span('POST /', {
      traceId,
      spanId: first,
      kind: 2,
      ...at(0, 9),
      attributes: [
        { key: 'http.response.status_code', value: { intValue: '503' } },
        { key: 'ratio', value: { doubleValue: 0.5 } },
        { key: 'late', value: { boolValue: true } },
        { key: 'topics', value: { arrayValue: { values: [{ stringValue: 'a' }] } } },
      ],
      status: { code: 2, message: 'nobody there' },
      events: [
        {
          name: 'retry',
          timeUnixNano: nanos(start + 2),
          attributes: [{ key: 'attempt', value: { intValue: '2' } }],
        },
      ],
      links: [other, { traceId, spanId: third }],
    }),
  ]);
  const trace = await traces().until(traceId, (spans) => spans.length === 4);
  expect(tree(trace)).toBe(
    [
      'here · POST / · server · error · 9.0 ms',
      '  here · send · producer · 1.0 ms',
      '    there · process · consumer · 2.0 ms',
      '  here · work · none · 1.0 ms',
    ].join('\n'),
  );
  expect(trace.spans[0]).toEqual({
    traceId,
    spanId: first,
    parentId: undefined,
    service: 'here',
    name: 'POST /',
    kind: 'server',
    startUs: start * 1_000,
    durationUs: 9_000,
    error: true,
    tags: expect.objectContaining({
      'http.response.status_code': 503,
      ratio: 0.5,
      late: true,
      topics: '["a"]',
      'otel.status_description': 'nobody there',
    }),
    resource: {},
    events: [{ name: 'retry', atUs: (start + 2) * 1_000, tags: { attempt: 2 } }],
    links: expect.any(Array),
    warnings: [],
  });
  // Jaeger sorts them by its own lights.
  expect(new Set(trace.spans[0]?.links)).toEqual(
    new Set([
      { refType: 'FOLLOWS_FROM', ...other },
      { refType: 'FOLLOWS_FROM', traceId, spanId: third },
    ]),
  );
  expect(await traces().services()).toEqual(expect.arrayContaining(['here', 'there']));
  const found = await traces().find({
    service: 'here',
    operation: 'POST /',
    tags: { late: true, ratio: 0.5 },
  });
  expect(found.map((one) => one.traceId)).toEqual([traceId]);
  expect(await traces().find({ service: 'here', tags: { late: false } })).toEqual([]);
});

test('one that was killed starts again on the same ports, without a trace', async () => {
  await using jaeger = await startJaeger();
  const { urls, pid } = jaeger;
  const before = span('before');
  await sendSpans(urls.otlpHttp, 'here', [before]);
  await readTraces(urls.query).until(before.traceId, () => true);
  await jaeger.kill();
  expect(await jaeger.exited).toBe('killed by SIGKILL');
  expect(jaeger.pid).toBeUndefined();
  await expect(sendSpans(urls.otlpHttp, 'here', [before])).rejects.toThrow('fetch failed');

  await jaeger.start();
  expect(jaeger.pid).not.toBe(pid);
  expect(await readTraces(urls.query).services()).toEqual([]);
  const after = span('after');
  await sendSpans(urls.otlpHttp, 'here', [after]);
  await readTraces(urls.query).until(after.traceId, () => true);
  await expect(jaeger.start()).rejects.toThrow('runs already');
  await jaeger.stop();
  expect(await jaeger.exited).toBe('exit code 0');
});

test('one that is held says nothing, and goes on where it was when it is released', async () => {
  await using jaeger = await startJaeger();
  const { urls } = jaeger;
  const before = span('before');
  await sendSpans(urls.otlpHttp, 'here', [before]);
  jaeger.hold();
  await expect(sendSpans(urls.otlpHttp, 'here', [span('during')])).rejects.toThrow(/timeout/);
  jaeger.release();
  expect((await readTraces(urls.query).until(before.traceId, () => true)).spans).toHaveLength(1);
  jaeger.hold();
  await jaeger.stop();
  expect(await jaeger.exited).toBe('exit code 0');
});

test('the newest traces are kept, a taken port is named, and its folder goes with it', async () => {
  const jaeger = await startJaeger({ maxTraces: 100 });
  const { urls, ports, dataDir } = jaeger;
  const many = Array.from({ length: 110 }, (_, n) => span(`span ${n}`));
  for (const one of many) await sendSpans(urls.otlpHttp, 'here', [one]);
  const reader = readTraces(urls.query);
  expect(await reader.trace(many[9]?.traceId ?? '')).toBeUndefined();
  expect(await reader.trace(many[10]?.traceId ?? '')).toBeDefined();
  expect(await reader.find({ service: 'here' })).toHaveLength(100);
  await expect(startJaeger({ ports: { otlpGrpc: ports.otlpGrpc } })).rejects.toThrow(
    `port ${ports.otlpGrpc} is taken by another program`,
  );
  await jaeger[Symbol.asyncDispose]();
  expect(existsSync(dataDir)).toBe(false);
});
