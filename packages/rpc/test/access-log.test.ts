import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { destination, type LoggerOptions, pino, stdTimeFunctions } from 'pino';
import { expect, it, onTestFinished, vi } from 'vitest';
import { AccessLog } from '../access-log.ts';
import { recorder } from './orders.ts';

const fixed = { method: 'shop.v1.Shop/Buy', face: 'grpc', code: 'OK' };
const line = {
  durationMs: 1.25,
  requestId: 'r-1',
  peer: '127.0.0.1:4711',
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
  spanId: '00f067aa0ba902b7',
};
const asLogged = {
  duration_ms: 1.25,
  request_id: 'r-1',
  peer: '127.0.0.1:4711',
  trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
  span_id: '00f067aa0ba902b7',
};

async function fileLogger(options: LoggerOptions = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'access-log-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, 'log');
  const logger = pino(options, destination({ dest: file, sync: false }));
  const lines = async () =>
    (await readFile(file, 'utf8').catch(() => ''))
      .trim()
      .split('\n')
      .filter(Boolean)
      .map((text) => JSON.parse(text) as Record<string, unknown>);
  return { logger, lines };
}

it.each<[string, LoggerOptions]>([
  ['as pino comes', {}],
  [
    'set up otherwise',
    {
      base: { service: 'order' },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
      redact: ['password'],
      mixin: () => ({}),
    },
  ],
])('writes the lines that the logger would, %s', async (_name, options) => {
  const { logger, lines } = await fileLogger(options);
  const log = new AccessLog(logger);
  const write = log.writer(fixed);
  write(line);
  logger.child(fixed).info(asLogged);
  log.flush();
  await vi.waitFor(async () => expect(await lines()).toHaveLength(2));
  const [a, b] = (await lines()).map(({ time, ...rest }) => ({ ...rest, time: typeof time }));
  expect(a).toEqual(b);
});

it('writes soon, without being asked to', async () => {
  const { logger, lines } = await fileLogger();
  new AccessLog(logger).writer(fixed)(line);
  await vi.waitFor(async () => expect(await lines()).toHaveLength(1));
});

it('loses and mixes nothing of many lines', async () => {
  const { logger, lines } = await fileLogger();
  const log = new AccessLog(logger);
  const write = log.writer(fixed);
  for (let index = 0; index < 1_000; index += 1) write({ ...line, requestId: `r-${index}` });
  log.flush();
  await vi.waitFor(async () => expect(await lines()).toHaveLength(1_000));
  expect((await lines()).map(({ request_id }) => request_id)).toEqual(
    Array.from({ length: 1_000 }, (_, index) => `r-${index}`),
  );
});

it("names the line's own trace, whatever runs while it is written", async () => {
  const { logger, lines } = await fileLogger({ mixin: () => ({ trace_id: 'of something else' }) });
  new AccessLog(logger).writer(fixed)(line);
  await vi.waitFor(async () => expect(await lines()).toEqual([expect.objectContaining(asLogged)]));
});

it('writes nothing that the level forbids', () => {
  const { logger, lines } = recorder();
  logger.level = 'warn';
  new AccessLog(logger).writer(fixed)(line);
  expect(lines).toEqual([]);
});

it('gives a destination of another kind one line at a time', () => {
  const { logger, lines } = recorder();
  const write = new AccessLog(logger).writer(fixed);
  write(line);
  write(line);
  expect(lines).toEqual([expect.objectContaining(asLogged), expect.objectContaining(asLogged)]);
});
