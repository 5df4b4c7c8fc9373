import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createLogger, flushLogger } from '../logger.ts';
import { Span } from '../span.ts';
import { startTelemetry, type TelemetryOptions } from '../start.ts';
import { startCollector } from './collector.ts';

async function started(options: Partial<TelemetryOptions> & Pick<TelemetryOptions, 'env'>) {
  const folder = await mkdtemp(join(tmpdir(), 'telemetry-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const destination = join(folder, 'log');
  const logger = createLogger({ service: 'test', destination });
  const telemetry = await startTelemetry({ service: 'test', version: '1', logger, ...options });
  onTestFinished(() => telemetry[Symbol.asyncDispose]());
  const said = async () => {
    await flushLogger(logger);
    const lines = (await readFile(destination, 'utf8')).trim().split('\n');
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  };
  const words = async () => (await said()).map(({ msg }) => msg);
  return { telemetry, said, words };
}

const quick = {
  OTEL_BSP_SCHEDULE_DELAY: '10',
  OTEL_BSP_EXPORT_TIMEOUT: '500',
  OTEL_EXPORTER_OTLP_TIMEOUT: '400',
};
const work = (n = 1) => {
  for (let i = 0; i < n; i++) new Span('work', { scope: 'test', parent: null }).end();
};

test('without an exporter work has ids, and nothing is recorded', async () => {
  const { telemetry, words } = await started({ env: {} });
  expect(telemetry.exporter).toBe('none');
  const span = new Span('work', { scope: 'test', parent: null });
  expect(span.context.traceId).toMatch(/^[0-9a-f]{32}$/);
  expect(span.recorded).toBe(false);
  span.failed('x');
  expect(span.recorded).toBe(false);
  const inner = span.run(() => new Span('inner', { scope: 'test' }));
  expect(inner.context.traceId).toBe(span.context.traceId);
  expect(await words()).toEqual(['tracing: ids only, nothing is recorded']);
});

test('an endpoint is enough, and it says that it works', async () => {
  await using collector = await startCollector();
  const { telemetry, words } = await started({
    env: { ...quick, OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/` },
  });
  expect(telemetry.exporter).toBe('otlp');
  await expect.poll(words).toEqual(['tracing: it works']);
  work(3);
  await expect.poll(() => telemetry.spans.exported).toBe(3);
  expect(new Set(collector.requests.map(({ path }) => path))).toEqual(new Set(['/v1/traces']));
});

test('the Jaeger exporter sends to its own endpoint', async () => {
  await using collector = await startCollector();
  const { telemetry } = await started({
    exporter: 'jaeger',
    env: { ...quick, OTEL_EXPORTER_JAEGER_ENDPOINT: `${collector.url}/api/traces` },
  });
  work();
  await expect.poll(() => telemetry.spans.exported).toBe(1);
  const [request] = collector.requests.filter(({ bytes }) => bytes > 0);
  expect(request?.path).toBe('/api/traces');
});

test('console writes spans for people', async () => {
  const written = vi.spyOn(console, 'dir').mockImplementation(() => undefined);
  onTestFinished(() => written.mockRestore());
  const { telemetry } = await started({ exporter: 'console', env: quick });
  work();
  await expect.poll(() => telemetry.spans).toEqual({ ended: 1, exported: 1, failed: 0 });
  expect(written.mock.calls.flat()).toContainEqual(expect.objectContaining({ name: 'work' }));
});

test('a ratio decides for whole traces', async () => {
  await using collector = await startCollector();
  await started({
    env: { ...quick, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url },
    sampler: 'parentbased_traceidratio',
    ratio: 0.25,
  });
  let recorded = 0;
  for (let n = 0; n < 2_000; n++) {
    const root = new Span('root', { scope: 'test', parent: null });
    const inner = new Span('inner', { scope: 'test', parent: root.context });
    expect(inner.recorded).toBe(root.recorded);
    if (root.recorded) recorded++;
  }
  // Five standard deviations of so many coins.
  expect(recorded).toBeGreaterThan(400);
  expect(recorded).toBeLessThan(600);
});

test('a Collector that is away from the start, comes, dies and comes again costs spans, a line each time, and no memory', async () => {
  const place = await startCollector();
  const { port } = place;
  await place[Symbol.asyncDispose]();
  const { telemetry, words } = await started({
    env: {
      ...quick,
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_BSP_MAX_QUEUE_SIZE: '2000',
    },
  });
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  // A span that is kept takes about 1 KB: a queue without a bound would take 200 MB.
  work(200_000);
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(100 * 2 ** 20);
  await expect
    .poll(words)
    .toEqual(
      expect.arrayContaining([
        'tracing: nobody takes the spans yet; nothing else is affected',
        'tracing: spans are lost until the exporter works again',
      ]),
    );
  const came = await startCollector(port);
  const exported = () => telemetry.spans.exported;
  const comes = async () => {
    work();
    return exported();
  };
  await expect.poll(comes).toBeGreaterThan(0);
  await came[Symbol.asyncDispose]();
  const lost = async () => {
    work();
    return (await words()).filter((word) => word === 'tracing: spans are lost until the exporter works again')
      .length;
  };
  await expect.poll(lost).toBe(2);
  await using _again = await startCollector(port);
  const had = exported();
  await expect.poll(comes).toBeGreaterThan(had);
  expect((await words()).filter((word) => word === 'tracing: spans are exported again')).toHaveLength(2);
}, 60_000);

test('the last spans leave at the end, but nobody waits for a Collector that hangs', async () => {
  await using collector = await startCollector();
  const { telemetry } = await started({
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: '60000' },
  });
  work(5);
  await telemetry[Symbol.asyncDispose]();
  expect(telemetry.spans.exported).toBe(5);
});

test('a protocol that there is not is an error that names the setting', async () => {
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_EXPORTER_OTLP_PROTOCOL: 'smoke' };
  await expect(started({ env })).rejects.toThrow(
    'OTEL_EXPORTER_OTLP_PROTOCOL must be grpc, http/json or http/protobuf',
  );
});
