import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { createLogger } from '@tradewind/telemetry/logger';
import { Span } from '@tradewind/telemetry/span';
import { startTelemetry } from '@tradewind/telemetry/start';
import { startCollector } from '@tradewind/telemetry/test/collector';
import { freePort } from '@tradewind/testing/port';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { serveFunction } from '../lambda/function-url/server.ts';
import { handler } from '../lambda/statistics.ts';
import type { Counts } from '../statistics/client.ts';
import { BREAKER_STATES, OUTCOMES } from '../statistics/metrics.ts';
import { type Asker, askerOf, type FakeFunction, fakeFunction, GOOD, say } from './statistics-function.ts';

const COUNTS: Counts = [0, 0, 0, 1, 3];
const ANSWER = { avg: 4.75, totalCount: 4 };

let scope: AsyncDisposableStack;
beforeEach(() => {
  scope = new AsyncDisposableStack();
});
afterEach(() => scope.disposeAsync());

async function given(answer: FakeFunction['answer'], settings?: Record<string, string>) {
  const fake = scope.use(await fakeFunction(answer));
  return { fake, ...asking(fake.url, settings) };
}

function asking(url: string | undefined, settings?: Record<string, string>): Asker {
  return scope.use(askerOf(url, settings));
}

/** Each asks something that nobody else does. */
function different(n: number): Counts {
  return [n, 0, 0, 0, 0];
}

/** Fails so often that the breaker opens. */
async function breakIt({ statistics, metric }: Asker): Promise<void> {
  for (let n = 0; (await metric('tradewind_statistics_breaker_state{state="open"}')) !== 1; n += 1)
    expect(await statistics.of(different(n))).toBeUndefined();
}

describe('an answer', () => {
  test.each<[string, Counts, { avg: number; totalCount: number }]>([
    ['numbers', [20, 30, 40, 65, 55], { avg: 3.5, totalCount: 210 }],
    ['texts', ['0', '0', '0', '1', '3'], ANSWER],
    ['bigints', [0n, 0n, 0n, 1n, 3n], ANSWER],
    ['no ratings', [0, 0, 0, 0, 0], { avg: 0, totalCount: 0 }],
  ])('of the function itself, for %s', async (_name, counts, expected) => {
    const logger = createLogger({ service: 'test', level: 'silent' });
    const { port } = scope.use(await serveFunction({ handler, host: '127.0.0.1', port: 0, logger }));
    const { statistics, called } = asking(`http://127.0.0.1:${port}/any/path`);
    expect(await statistics.of(counts)).toEqual(expected);
    expect(await called('answered')).toBe(1);
  });

  test('to the question of the contract', async () => {
    const { fake, statistics } = await given(say(200, GOOD));
    expect(await statistics.of([20, '30', 40n, 0, 60])).toEqual(ANSWER);
    expect(fake.requests).toMatchObject([
      {
        headers: { 'content-type': 'application/json', accept: 'application/json' },
        body: '{"ratings":{"1":20,"2":30,"3":40,"4":0,"5":60}}',
      },
    ]);
    expect(fake.requests[0]?.headers.authorization).toBeUndefined();
  });

  test('is shared by those who ask the same before it is there, and by nobody after', async () => {
    const { fake, statistics, called } = await given(undefined);
    const asked = [COUNTS, COUNTS, [1, 0, 0, 0, 0] as const, COUNTS].map((counts) => statistics.of(counts));
    await expect.poll(() => fake.requests.length).toBe(2);
    expect([await called('shared'), await called('answered')]).toEqual([2, 0]);
    fake.server.closeAllConnections();
    fake.answer = say(200, GOOD);
    // Those who waited share the retry as well.
    expect(await Promise.all(asked)).toEqual([ANSWER, ANSWER, ANSWER, ANSWER]);
    expect(fake.requests.length).toBe(4);
    await statistics.of(COUNTS);
    await statistics.of(COUNTS);
    expect(fake.requests.length).toBe(6);
    expect([await called('shared'), await called('answered')]).toEqual([2, 4]);
  });

  test('comes over connections that are kept, and over new ones when those were closed', async () => {
    const { fake, statistics, metric } = await given(say(200, GOOD));
    let connections = 0;
    fake.server.on('connection', () => {
      connections += 1;
    });
    for (let n = 0; n < 20; n += 1) expect(await statistics.of(different(n))).toEqual(ANSWER);
    // The next question may come before a connection is known to be free.
    expect(connections).toBeLessThanOrEqual(2);
    const before = connections;
    fake.server.closeAllConnections();
    expect(await statistics.of(COUNTS)).toEqual(ANSWER);
    expect(connections).toBe(before + 1);
    expect(await metric('tradewind_statistics_calls_total{outcome="answered"}')).toBe(21);
  });

  test('of a function that wants to know who asks', async () => {
    const { fake } = await given(say(200, GOOD));
    const url = fake.url.replace('//', '//me:s3cret%21@');
    const { statistics, lines } = asking(url, { STATISTICS_BREAKER_FAILURES: '1' });
    expect(await statistics.of(COUNTS)).toEqual(ANSWER);
    const expected = `Basic ${Buffer.from('me:s3cret!').toString('base64')}`;
    expect(fake.requests[0]?.headers.authorization).toBe(expected);
    fake.answer = say(403);
    expect(await statistics.of(COUNTS)).toBeUndefined();
    expect(lines).toEqual([expect.stringContaining('the function is away')]);
    expect(lines[0]).toContain('me:***@127.0.0.1');
    expect(lines[0]).not.toContain('s3cret');
  });
});

describe('no answer', () => {
  test('without an address, and nothing is counted', async () => {
    const { statistics, called } = asking(undefined);
    expect(await statistics.of(COUNTS)).toBeUndefined();
    expect(await Promise.all(OUTCOMES.map(called))).toEqual(OUTCOMES.map(() => 0));
  });

  test('of a function that hangs: each attempt is given up in time, and so is the question', async () => {
    const settings = {
      STATISTICS_ATTEMPT_TIMEOUT: '100ms',
      STATISTICS_TIMEOUT: '250ms',
      STATISTICS_RETRIES: '9',
    };
    const { fake, statistics, called, metric } = await given(undefined, settings);
    const began = performance.now();
    expect(await statistics.of(COUNTS)).toBeUndefined();
    const took = performance.now() - began;
    expect(took).toBeGreaterThan(200);
    // A busy machine is late, but nine retries would take a second.
    expect(took).toBeLessThan(900);
    expect(fake.requests.length).toBe(3);
    expect([await called('timeout'), await metric('tradewind_statistics_retries_total')]).toEqual([1, 2]);
  });

  test('is not waited for when there is no time for another attempt', async () => {
    const settings = { STATISTICS_RETRY_BASE: '1h', STATISTICS_RETRIES: '9' };
    const { fake, statistics, called } = await given(say(500), settings);
    expect(await statistics.of(COUNTS)).toBeUndefined();
    expect([fake.requests.length, await called('refused')]).toEqual([1, 1]);
  });

  test('of a server that takes connections and says nothing, in TLS', async () => {
    const server = createServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1');
    scope.defer(() => void server.close());
    await once(server, 'listening');
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { statistics, called } = asking(url, {
      STATISTICS_ATTEMPT_TIMEOUT: '100ms',
      STATISTICS_RETRIES: '0',
    });
    const began = performance.now();
    expect(await statistics.of(COUNTS)).toBeUndefined();
    expect(performance.now() - began).toBeLessThan(1_500);
    expect((await called('timeout')) + (await called('unreachable'))).toBe(1);
  });

  test('of an address where nobody is', async () => {
    const { statistics, called } = asking(`http://127.0.0.1:${await freePort()}`);
    expect(await statistics.of(COUNTS)).toBeUndefined();
    expect(await called('unreachable')).toBe(1);
  });

  test.each([
    ['nothing', ''],
    ['no JSON', 'Internal Server Error'],
    ['half of it', GOOD.slice(0, -1)],
    ['null', 'null'],
    ['a text', '"4.75"'],
    ['an empty object', '{}'],
    ['no count', '{"avg":4.75}'],
    ['no average', '{"totalCount":4}'],
    ['an average in words', '{"avg":"4.75","totalCount":4}'],
    ['an average above 5', '{"avg":5.1,"totalCount":4}'],
    ['an average below 0', '{"avg":-0.1,"totalCount":4}'],
    ['an average that is no number', '{"avg":1e999,"totalCount":4}'],
    ['a count below 0', '{"avg":4,"totalCount":-1}'],
    ['half a rating', '{"avg":4,"totalCount":1.5}'],
    ['more ratings than a double can count', '{"avg":4,"totalCount":9007199254740992}'],
    ['a count in words', '{"avg":4,"totalCount":"4"}'],
    ['too much', `{"avg":4,"totalCount":4,"padding":"${'x'.repeat(20_000)}"}`],
  ])('that can be believed: %s', async (_name, body) => {
    const { statistics, called, metric } = await given(say(200, body), { STATISTICS_BREAKER_FAILURES: '3' });
    expect(await statistics.of(COUNTS)).toBeUndefined();
    expect(await called('wrong')).toBe(1);
    // It counts as a failure, thrice with the retries.
    expect(await metric('tradewind_statistics_breaker_state{state="open"}')).toBe(1);
  });

  test('to counts that are none', async () => {
    const { statistics, called } = await given(say(400));
    expect(await statistics.of(['x', -1, 1.5, Number.NaN, 2 ** 60])).toBeUndefined();
    expect(await called('refused')).toBe(1);
  });
});

describe('retries', () => {
  test.each([500, 502, 503, 504, 429, 408])('after %i', async (status) => {
    const { statistics, called, metric } = await given((response, nth) =>
      nth < 3 ? say(status)(response) : say(200, GOOD)(response),
    );
    expect(await statistics.of(COUNTS)).toEqual(ANSWER);
    expect(await called('answered')).toBe(1);
    expect(await metric('tradewind_statistics_retries_total')).toBe(2);
    expect(await metric('tradewind_statistics_call_duration_seconds_count')).toBe(1);
  });

  test('after a connection that breaks, and after nonsense', async () => {
    const { statistics } = await given((response, nth) => {
      if (nth === 1) response.socket?.destroy();
      else say(200, nth === 2 ? 'nonsense' : GOOD)(response);
    });
    expect(await statistics.of(COUNTS)).toEqual(ANSWER);
  });

  test.each([201, 204, 301, 400, 401, 403, 404, 405, 413])('not after %i', async (status) => {
    const { fake, statistics, called } = await given(say(status));
    expect(await statistics.of(COUNTS)).toBeUndefined();
    expect([fake.requests.length, await called('refused')]).toEqual([1, 1]);
  });
});

describe('the breaker', () => {
  const quick = { STATISTICS_BREAKER_REST: '50ms', STATISTICS_RETRIES: '0' };

  test('opens after so many failures in a row; then nobody waits, and nothing is asked', async () => {
    const asker = await given(say(503), { STATISTICS_BREAKER_FAILURES: '5', STATISTICS_RETRIES: '0' });
    const { fake, statistics, called } = asker;
    for (let n = 0; n < 4; n += 1) await statistics.of(COUNTS);
    fake.answer = say(200, GOOD);
    expect(await statistics.of(COUNTS)).toEqual(ANSWER);
    fake.answer = say(503);
    for (let n = 0; n < 5; n += 1) await statistics.of(COUNTS);
    expect(await called('open')).toBe(0);
    // It would hang now, for 10 s.
    fake.answer = undefined;
    const began = performance.now();
    for (let n = 0; n < 20; n += 1) expect(await statistics.of(different(n))).toBeUndefined();
    expect(performance.now() - began).toBeLessThan(2_000);
    expect([fake.requests.length, await called('open'), await called('refused')]).toEqual([10, 20, 9]);
    expect(await asker.metric('tradewind_statistics_breaker_opened_total')).toBe(1);
    expect(asker.lines).toEqual([
      expect.stringMatching(/^statistics: the function is away.*refused \(503\)/),
    ]);
  });

  test('opens within a question that fails, which is not tried again then', async () => {
    const { fake, statistics, called } = await given(say(503), {
      STATISTICS_BREAKER_FAILURES: '2',
      STATISTICS_RETRIES: '9',
    });
    expect(await statistics.of(COUNTS)).toBeUndefined();
    expect([fake.requests.length, await called('refused'), await called('open')]).toEqual([2, 1, 0]);
  });

  test('lets one try whether the function is back; others do not wait for it', async () => {
    const asker = await given(say(503), quick);
    const { fake, statistics, called, metric } = asker;
    await breakIt(asker);
    fake.answer = undefined;
    const before = fake.requests.length;
    // Until one is let through, which then hangs.
    let tried: Promise<unknown> | undefined;
    await expect
      .poll(async () => {
        tried = statistics.of(COUNTS);
        return await metric('tradewind_statistics_breaker_state{state="half_open"}');
      })
      .toBe(1);
    await expect.poll(() => fake.requests.length).toBe(before + 1);
    const open = await called('open');
    for (let n = 0; n < 10; n += 1) expect(await statistics.of(different(n))).toBeUndefined();
    expect([fake.requests.length, (await called('open')) - open]).toEqual([before + 1, 10]);
    // That one is answered.
    fake.answer = say(200, GOOD);
    fake.server.closeAllConnections();
    expect(await tried).toBeUndefined();
    await expect.poll(() => statistics.of(COUNTS)).toEqual(ANSWER);
    expect(await metric('tradewind_statistics_breaker_state{state="closed"}')).toBe(1);
    expect(asker.lines).toEqual([
      expect.stringContaining('the function is away'),
      expect.stringContaining('the function is back'),
    ]);
    // The one that tried in vain opened it a second time, without another word.
    expect(await metric('tradewind_statistics_breaker_opened_total')).toBe(2);
  });

  test('notices a function that was not there, and comes', async () => {
    const port = await freePort();
    const asker = asking(`http://127.0.0.1:${port}`, quick);
    await breakIt(asker);
    scope.use(await fakeFunction(say(200, GOOD), port));
    await expect.poll(() => asker.statistics.of(COUNTS)).toEqual(ANSWER);
    expect(await asker.metric('tradewind_statistics_breaker_state{state="closed"}')).toBe(1);
  });
});

test('everything is told from the start', async () => {
  const { metric } = asking(undefined);
  for (const outcome of OUTCOMES)
    expect(await metric(`tradewind_statistics_calls_total{outcome="${outcome}"}`)).toBe(0);
  for (const state of BREAKER_STATES)
    expect(await metric(`tradewind_statistics_breaker_state{state="${state}"}`)).toBe(
      state === 'closed' ? 1 : 0,
    );
  for (const name of ['retries_total', 'breaker_opened_total', 'call_duration_seconds_count'])
    expect(await metric(`tradewind_statistics_${name}`)).toBe(0);
});

test('its span is below that of whoever asks, goes along with the question, and says how it went', async () => {
  const collector = scope.use(await startCollector());
  const telemetry = await startTelemetry({
    service: 'test',
    version: '0',
    logger: createLogger({ service: 'test', level: 'silent' }),
    exporter: 'otlp',
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' },
  });
  scope.use(telemetry);
  const { fake, statistics } = await given((response, nth) => say(nth === 1 ? 503 : 200, GOOD)(response));
  const call = new Span('a call', { scope: 'test', parent: null });
  const ask = () => call.run(() => statistics.of(COUNTS));
  expect(await ask()).toEqual(ANSWER);
  fake.answer = say(404);
  expect(await ask()).toBeUndefined();
  call.end();
  await telemetry[Symbol.asyncDispose]();
  const spans = collector.spans.filter(({ name }) => name === 'POST /');
  const { traceId, spanId } = call.context;
  expect(spans).toMatchObject([
    { traceId, parentSpanId: spanId, kind: 3, status: {} },
    { traceId, parentSpanId: spanId, kind: 3, status: { code: 2 } },
  ]);
  const [answered, failed] = spans.map(({ attributes }) =>
    Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]])),
  );
  expect(answered).toMatchObject({
    'http.request.method': 'POST',
    'server.address': '127.0.0.1',
    'http.request.resend_count': 1,
    'tradewind.outcome': 'answered',
  });
  expect(failed).toMatchObject({ 'error.type': '404', 'tradewind.outcome': 'refused' });
  expect(fake.requests.map(({ headers }) => headers.traceparent)).toEqual(
    [spans[0], spans[0], spans[1]].map((span) => `00-${traceId}-${span?.spanId}-01`),
  );
});
