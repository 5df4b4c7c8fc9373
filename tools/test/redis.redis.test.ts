import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '@tradewind/testing/port';
import { askRedis } from '@tradewind/testing/redis/ask';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { identify, isAlive, type ProcessIdentity } from '../start/identity.ts';

const main = fileURLToPath(new URL('../redis.ts', import.meta.url));
let folder = '';
const begun: ChildProcess[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'redis-command-'));
});
afterEach(async () => {
  for (const child of begun.splice(0)) if (running(child)) await ended(child, 'SIGTERM');
  await rm(folder, { recursive: true, force: true });
});

const running = (child: ChildProcess) => child.exitCode === null && child.signalCode === null;

async function ended(child: ChildProcess, signal?: NodeJS.Signals): Promise<number | null> {
  if (!running(child)) return child.exitCode;
  const exited = once(child, 'exit');
  if (signal) child.kill(signal);
  return (await exited)[0];
}

/** `npm run redis -- …`, with what it says so far. */
function redis(args: readonly string[], env = process.env): { child: ChildProcess; text: () => string } {
  const child = spawn(process.execPath, [main, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  begun.push(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
  return { child, text: () => text };
}

async function ready(one: ReturnType<typeof redis>): Promise<void> {
  await expect.poll(() => !running(one.child) || /^ready/m.test(one.text())).toBe(true);
  expect(one.text()).toMatch(/^ready/m);
}

async function serverOf(data: string): Promise<ProcessIdentity> {
  const { processes } = JSON.parse(await readFile(join(data, 'running.json'), 'utf8')) as {
    processes: ProcessIdentity[];
  };
  const [server] = processes;
  if (!server) throw new Error('no Redis is on record');
  return server;
}

test('it says how to use it, and keeps nothing unless it is told to', async () => {
  const port = await freePort();
  const args = ['--port', String(port), '--data', join(folder, 'redis')];
  const first = redis(args);
  await ready(first);
  expect(first.text()).toContain(`REDIS_URL=redis://localhost:${port} npm start`);
  expect(await askRedis({ port }, 'INCR', 'here')).toBe('1');
  expect(await ended(first.child, 'SIGINT')).toBe(0);
  expect(first.text()).toMatch(/ended, and its data with it\n$/);
  await expect(askRedis({ port }, 'PING')).rejects.toThrow('ECONNREFUSED');

  const second = redis([...args, '--persist']);
  await ready(second);
  expect(await askRedis({ port }, 'INCR', 'here')).toBe('1');
  expect(await ended(second.child, 'SIGINT')).toBe(0);
  expect(second.text()).toMatch(/ended; its data stay\n$/);
  const third = redis([...args, '--persist']);
  await ready(third);
  expect(await askRedis({ port }, 'INCR', 'here')).toBe('2');
});

test('kill -9 of the command leaves a Redis, which the next start ends; one that dies ends the command', async () => {
  const data = join(folder, 'redis');
  const args = ['--port', String(await freePort()), '--data', data];
  const first = redis(args);
  await ready(first);
  const orphan = await serverOf(data);
  await ended(first.child, 'SIGKILL');
  expect(isAlive(orphan)).toBe(true);

  const second = redis(args);
  await ready(second);
  expect(second.text()).toContain(
    `an earlier start was killed; ending what it left: redis (pid ${orphan.pid})`,
  );
  expect(isAlive(orphan)).toBe(false);
  const server = await serverOf(data);
  process.kill(server.pid, 'SIGKILL');
  expect(await ended(second.child)).toBe(1);
  expect(second.text()).toMatch(/Redis ended \(killed by SIGKILL\); .*redis\.log says why/);
  expect(identify(server.pid)).toBeUndefined();
});

test('a taken port, a wrong option and a machine without Redis are told at once; a password is not', async () => {
  const port = String(await freePort());
  const first = redis(['--port', port, '--data', join(folder, 'redis'), '--set', 'requirepass=hush']);
  await ready(first);
  expect(first.text()).not.toContain('hush');
  const taken = redis(['--port', port, '--data', join(folder, 'other')]);
  expect(await ended(taken.child)).toBe(1);
  expect(taken.text()).toMatch(
    new RegExp(`port ${port} for Redis is taken by .*redis-server .*--port chooses another`),
  );

  const wrong = redis(['--port', 'nine']);
  expect(await ended(wrong.child)).toBe(2);
  await expect.poll(() => wrong.text()).toContain('--port must be a port, 1 to 65535, not "nine"');

  const bare = redis(['--port', String(await freePort()), '--data', join(folder, 'bare')], {
    PATH: '/nowhere',
    HOME: folder,
  });
  expect(await ended(bare.child)).toBe(1);
  await expect.poll(() => bare.text()).toContain('apt-get install redis-server');
});
