import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { expect, test } from 'vitest';
import { askRedis } from '../redis/ask.ts';
import { findRedis } from '../redis/program.ts';
import { startRedis } from '../redis.ts';

test('one that was killed starts again on the same port, and empty; one that persists keeps what it had', async () => {
  await using redis = await startRedis();
  const { pid, url } = redis;
  expect(url).toBe(`redis://127.0.0.1:${redis.port}`);
  expect(await redis.ask('INCRBY', 'here', '7')).toBe('7');
  await redis.kill();
  expect(await redis.exited).toBe('killed by SIGKILL');
  expect(redis.pid).toBeUndefined();
  await expect(redis.ask('PING')).rejects.toThrow('ECONNREFUSED');
  await redis.start();
  expect(redis.pid).not.toBe(pid);
  expect(await redis.ask('INCR', 'here')).toBe('1');
  await expect(redis.start()).rejects.toThrow('runs already');

  await using keeper = await startRedis({ settings: { appendonly: 'yes', appendfsync: 'always' } });
  await keeper.ask('SET', 'here', '7');
  await keeper.kill();
  await keeper.start();
  expect(await keeper.ask('INCR', 'here')).toBe('8');
  await keeper.flush();
  expect(await keeper.ask('INCR', 'here')).toBe('1');
  await keeper.stop();
  expect(await keeper.exited).toBe('exit code 0');
});

test('one that is held says nothing, goes on when it is released, and can be stopped while it is held', async () => {
  await using redis = await startRedis();
  redis.hold();
  await expect(askRedis({ port: redis.port, timeoutMs: 100 }, 'PING')).rejects.toThrow(
    'no answer within 100 ms',
  );
  redis.release();
  expect(await redis.ask('PING')).toBe('PONG');
  redis.hold();
  await redis.stop();
  expect(redis.pid).toBeUndefined();
});

test('a password is asked for, a taken port and a wrong setting are told, its folder goes with it', async () => {
  const redis = await startRedis({ settings: { requirepass: 'p@ss word' } });
  expect(redis.url).toBe(`redis://:p%40ss%20word@127.0.0.1:${redis.port}`);
  expect(await redis.ask('PING')).toBe('PONG');
  await expect(askRedis({ port: redis.port }, 'PING')).rejects.toThrow('NOAUTH');
  await expect(askRedis({ port: redis.port, password: 'no' }, 'PING')).rejects.toThrow('WRONGPASS');
  await expect(startRedis({ port: redis.port })).rejects.toThrow(`port ${redis.port} is taken`);
  await expect(startRedis({ settings: { nonsense: '1' } })).rejects.toThrow(
    /nonsense "1"[\s\S]*Bad directive/,
  );
  await redis[Symbol.asyncDispose]();
  expect(existsSync(redis.dataDir)).toBe(false);
});

test('a Redis is found by REDIS_SERVER or on the PATH, and what is missing is said', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'redis-found-'));
  try {
    const program = join(folder, 'redis-server');
    await writeFile(program, '#!/bin/sh\n');
    await expect(findRedis({ PATH: folder })).rejects.toThrow('apt-get install redis-server');
    await expect(findRedis({ REDIS_SERVER: program })).rejects.toThrow('can be run');
    await chmod(program, 0o755);
    expect(await findRedis({ PATH: ['/nowhere', folder].join(delimiter) })).toBe(program);
    expect(await findRedis({ PATH: '', REDIS_SERVER: program })).toBe(program);
    await expect(findRedis({})).rejects.toThrow('apt-get install redis-server');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
