import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { freePort } from '@tradewind/testing/port';
import { afterEach, expect, test } from 'vitest';

const main = fileURLToPath(new URL('../lambda/serve.ts', import.meta.url));
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

function start(env: Record<string, string>, ...args: string[]) {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
  }
  const closed = once(child, 'close');
  return { child, output: () => output, ended: async () => (await closed)[0] as number | null };
}

async function statusOf(url: string): Promise<number> {
  return await fetch(url).then(
    ({ status }) => status,
    () => 0,
  );
}

test('the function as a process: ready by its own port, answers, ends in order', async () => {
  const [port, health] = [await freePort(), await freePort()];
  const { child, output, ended } = start({ PORT: String(port), HEALTH_PORT: String(health) }, 'serve');
  await expect.poll(() => statusOf(`http://127.0.0.1:${health}/health/ready`)).toBe(200);
  expect(await statusOf(`http://127.0.0.1:${health}/health/live`)).toBe(200);
  expect(await statusOf(`http://127.0.0.1:${health}/`)).toBe(404);
  // On the function's port every path is the function's, as on AWS.
  expect(await statusOf(`http://127.0.0.1:${port}/health/ready`)).toBe(405);
  const answer = await fetch(`http://127.0.0.1:${port}/`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"ratings":{"5":"3","4":"1"}}',
  });
  expect([answer.status, await answer.text()]).toEqual([200, '{"avg":4.75,"totalCount":4}']);
  child.kill('SIGTERM');
  expect(await ended()).toBe(0);
  const lines = output().trim().split('\n');
  expect(lines.map((line) => JSON.parse(line).service)).toEqual(lines.map(() => 'ratings-lambda'));
});

test.each([
  [{ PORT: 'x' }, ['serve'], 2, 'PORT must be a port'],
  [{}, ['listen'], 2, 'there is no command "listen"'],
  [{}, ['migrate'], 2, 'there is no schema to migrate here'],
])('%j %j: exit code %i', async (env, args, code, text) => {
  const { ended, output } = start(env as Record<string, string>, ...args);
  expect(await ended()).toBe(code);
  expect(output()).toContain(text);
});

test('a port that is taken ends it with exit code 1', async () => {
  const port = String(await freePort());
  const health = await freePort();
  start({ PORT: port, HEALTH_PORT: String(health) }, 'serve');
  await expect.poll(() => statusOf(`http://127.0.0.1:${health}/health/ready`)).toBe(200);
  const { ended, output } = start({ PORT: port }, 'serve');
  expect(await ended()).toBe(1);
  expect(output()).toContain('EADDRINUSE');
});
