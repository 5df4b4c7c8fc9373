import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '@tradewind/testing/port';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { identify, isAlive, type ProcessIdentity } from '../start/identity.ts';

const main = fileURLToPath(new URL('../kafka.ts', import.meta.url));
let folder = '';
const begun: ChildProcess[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kafka-command-'));
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

/** `npm run kafka -- …`, with what it says so far. */
function kafka(...args: string[]): { child: ChildProcess; text: () => string } {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  begun.push(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
  return { child, text: () => text };
}

async function ready(one: ReturnType<typeof kafka>): Promise<void> {
  await expect.poll(() => !running(one.child) || /^ready/m.test(one.text()), { timeout: 100_000 }).toBe(true);
  expect(one.text()).toMatch(/^ready/m);
}

async function brokerOf(data: string): Promise<ProcessIdentity> {
  const { processes } = JSON.parse(await readFile(join(data, 'running.json'), 'utf8')) as {
    processes: ProcessIdentity[];
  };
  const [broker] = processes;
  if (!broker) throw new Error('no broker is on record');
  return broker;
}

test('kill -9 of the command leaves a broker, which the next start ends; Ctrl-C then ends all in order', async () => {
  const port = String(await freePort());
  const data = join(folder, 'kafka');
  const first = kafka('--port', port, '--data', data);
  await ready(first);
  expect(first.text()).toContain(`EVENT_LOG_URL=kafka://localhost:${port} npm start`);
  const orphan = await brokerOf(data);
  await ended(first.child, 'SIGKILL');
  expect(isAlive(orphan)).toBe(true);

  const second = kafka('--port', port, '--data', data);
  await ready(second);
  expect(second.text()).toContain(
    `an earlier start was killed; ending what it left: kafka (pid ${orphan.pid})`,
  );
  expect(isAlive(orphan)).toBe(false);

  const beside = kafka('--port', String(await freePort()), '--data', data);
  expect(await ended(beside.child)).toBe(1);
  expect(beside.text()).toContain(`runs already on ${data}`);

  const broker = await brokerOf(data);
  expect(await ended(second.child, 'SIGINT')).toBe(0);
  expect(identify(broker.pid)).toBeUndefined();
  expect(second.text()).toMatch(/ended; its data stay\n$/);
});

test('a broker that dies ends the command, which says where the reason is', async () => {
  const data = join(folder, 'kafka');
  const one = kafka('--port', String(await freePort()), '--data', data);
  await ready(one);
  process.kill((await brokerOf(data)).pid, 'SIGKILL');
  expect(await ended(one.child)).toBe(1);
  expect(one.text()).toMatch(/Kafka ended \(killed by SIGKILL\); .*broker\.log says why/);
});

test('a taken port, a wrong option and a machine without Java are told at once', async () => {
  const { port } = new URL(inject('kafkaUrl'));
  const taken = kafka('--port', port, '--data', join(folder, 'kafka'));
  expect(await ended(taken.child)).toBe(1);
  expect(taken.text()).toMatch(
    new RegExp(`port ${port} for Kafka is taken by java .*--port chooses another`),
  );

  const wrong = kafka('--port', 'nine');
  expect(await ended(wrong.child)).toBe(2);
  expect(wrong.text()).toContain('--port must be a port, 1 to 65535, not "nine"');

  const args = [main, '--port', String(await freePort()), '--data', join(folder, 'other')];
  const bare = spawn(process.execPath, args, { env: { PATH: '/nowhere', HOME: folder } });
  begun.push(bare);
  let text = '';
  bare.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  expect(await ended(bare)).toBe(1);
  await expect.poll(() => text).toContain('Apache Kafka needs Java 17 or newer, and none is on the PATH');
});
