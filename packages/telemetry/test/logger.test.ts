import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLogger, flushLogger, maskText, maskUrl } from '../logger.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tradewind-logger-'));
});
afterAll(() => rm(folder, { recursive: true }));

test('a line is one JSON object with service, level and time', async () => {
  const path = join(folder, 'a.log');
  const logger = createLogger({ service: 'order', version: '1.0.0', destination: path });
  logger.info({ orderId: 'o1' }, 'created');
  logger.debug('not at this level');
  logger.info('nothing of the line before');
  await flushLogger(logger);
  const lines = (await readFile(path, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines).toEqual([
    {
      level: 'info',
      time: expect.stringMatching(/Z$/),
      service: 'order',
      version: '1.0.0',
      pid: process.pid,
      orderId: 'o1',
      msg: 'created',
    },
    {
      level: 'info',
      time: expect.stringMatching(/Z$/),
      service: 'order',
      version: '1.0.0',
      pid: process.pid,
      msg: 'nothing of the line before',
    },
  ]);
});

test('secrets never reach the log: not by name, not in an address, not in an error', async () => {
  const path = join(folder, 'b.log');
  const logger = createLogger({ service: 'order', destination: path });
  logger.info({ password: 's3cret', headers: { authorization: 's3cret' } }, 'one');
  logger.info({ database: { url: 'postgres://me:s3cret@db/order' } }, 'two postgres://me:s3cret@db/order');
  logger.error({ err: new Error('connect to redis://:s3cret@cache:6379/0?password=s3cret failed') }, 'three');
  await flushLogger(logger);
  const content = await readFile(path, 'utf8');
  expect(
    content
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).msg),
  ).toEqual(['one', 'two postgres://me:***@db/order', 'three']);
  expect(content).not.toContain('s3cret');
});

test('rows and keys that a database quotes never reach the log, whatever is in them', async () => {
  const path = join(folder, 'rows.log');
  const logger = createLogger({ service: 'order', destination: path });
  const row = 'Failing row contains (7, s3cret "s3cret" (s3cret).\ns3cret, 2026-01-01 00:00:00+00, null).';
  const key = 'Key (email_key, n)=(s3cret)@example.com, 1) already exists.';
  for (const detail of [row, key]) {
    logger.error(
      { err: Object.assign(new Error('violates a constraint'), { detail }) },
      'as the driver has it',
    );
    logger.error({ err: new Error(`violates a constraint\n - detail: ${detail}`) }, 'as the ORM has it');
  }
  logger.error({ detail: 'Process 1 waits for ShareLock on transaction 2' }, 'a deadlock');
  await flushLogger(logger);
  const content = await readFile(path, 'utf8');
  const lines = content
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines.map(({ err, detail }) => err?.detail ?? err?.message ?? detail)).toEqual([
    'Failing row contains (***).',
    'violates a constraint\n - detail: Failing row contains (***).',
    'Key (email_key, n)=(***) already exists.',
    'violates a constraint\n - detail: Key (email_key, n)=(***) already exists.',
    'Process 1 waits for ShareLock on transaction 2',
  ]);
  expect(lines[1].err.stack).toMatch(/\(\*\*\*\)\.\n {4}at /);
  expect(content).not.toContain('s3cret');
});

test('what was logged last is written though the process exits at once', async () => {
  const script = `
    const { createLogger } = await import(${JSON.stringify(new URL('../logger.ts', import.meta.url).href)});
    const logger = createLogger({ service: 'x' });
    for (let i = 0; i < 1000; i++) logger.info({ i }, 'line');
    process.exit(3);`;
  const failed = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]).catch(
    (error) => error,
  );
  expect(failed.code).toBe(3);
  expect(failed.stdout.trim().split('\n')).toHaveLength(1000);
});

test.each([
  ['postgres://me:s3cret@db:5432/order?sslmode=require', 'postgres://me:***@db:5432/order?sslmode=require'],
  ['postgres://me@db/order', 'postgres://me@db/order'],
  ['postgres://db/order?user=me&password=s3cret', 'postgres://db/order?user=me&password=***'],
  ['redis://:s3cret@cache:6379/0', 'redis://:***@cache:6379/0'],
  ['not a url s3cret', '***'],
  ['me:s3cret@db/order', '***'],
  ['kafka://one:9092,two:9092,three', 'kafka://one:9092,two:9092,three'],
  [
    'kafka://me:se,cret@one:9092,two:9092/?compression=lz4',
    'kafka://me:***@one:9092,two:9092/?compression=lz4',
  ],
  ['kafkas://me@one,two?password=secret', 'kafkas://me@one,two?password=***'],
  ['kafka://me:12,34/secret@one', '***'],
])('maskUrl(%s)', (url, masked) => {
  expect(maskUrl(url)).toBe(masked);
});

test('maskText leaves ports, paths and addresses without a password alone', () => {
  const text = 'GET http://localhost:3000/a?x=b@c from me@example.com, see https://x.example/@user';
  expect(maskText(text)).toBe(text);
});
