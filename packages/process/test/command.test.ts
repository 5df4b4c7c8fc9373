import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test, vi } from 'vitest';

const fixture = fileURLToPath(new URL('fixtures/service.ts', import.meta.url));
const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
});

function start(args: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [fixture, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
  }
  const closed = once(child, 'close');
  return {
    child,
    output: () => output,
    said: (text: string) =>
      vi.waitFor(() => expect(output).toContain(text), { timeout: 15_000, interval: 10 }),
    async ended() {
      const [code, signal] = await closed;
      return { code, signal, output };
    },
  };
}

test.each(['SIGTERM', 'SIGINT'] as const)('%s stops in order: disposed, exit code 0', async (signal) => {
  const service = start(['serve', 'listen'], { PORT: '4000' });
  await service.said('"asked":"serve,listen","port":4000,"msg":"up"');
  service.child.kill(signal);
  const { code, output } = await service.ended();
  expect(code).toBe(0);
  expect(output).toContain('disposed');
});

test('a signal that comes twice at once is one signal, as when npm hands Ctrl-C on', async () => {
  const service = start(['serve'], { BEHAVIOUR: 'leak' });
  await service.said('"msg":"up"');
  service.child.kill('SIGINT');
  service.child.kill('SIGINT');
  expect(await service.ended()).toMatchObject({ code: 0, output: expect.stringContaining('disposed') });
});

test('a second signal, later, ends at once with exit code 1', async () => {
  const service = start(['serve'], { BEHAVIOUR: 'hang' });
  await service.said('"msg":"up"');
  service.child.kill('SIGINT');
  await service.said('SIGINT: stopping');
  await vi.waitFor(
    () => {
      service.child.kill('SIGTERM');
      expect(service.output()).toContain('SIGTERM again');
    },
    { timeout: 5_000 },
  );
  expect((await service.ended()).code).toBe(1);
});

test('a stop that takes longer than the deadline says what still runs and ends with exit code 1', async () => {
  const service = start(['serve'], { BEHAVIOUR: 'hang', SHUTDOWN: '200ms' });
  await service.said('"msg":"up"');
  service.child.kill('SIGTERM');
  const { code, output } = await service.ended();
  expect(code).toBe(1);
  expect(output).toContain('not stopped within 200 ms; still running: serve, draining');
});

test('to stop by throwing the reason of the stop is a clean stop', async () => {
  const service = start(['serve'], { BEHAVIOUR: 'throw-reason' });
  await service.said('"msg":"up"');
  service.child.kill('SIGTERM');
  expect((await service.ended()).code).toBe(0);
});

test('what is left open does not keep a stopped process', async () => {
  const service = start(['serve'], { BEHAVIOUR: 'leak' });
  await service.said('"msg":"up"');
  service.child.kill('SIGTERM');
  expect(await service.ended()).toMatchObject({
    code: 0,
    output: expect.stringContaining('something was left open'),
  });
});

test.each([
  ['end', 'serve ended though nobody asked it to'],
  ['throw', 'uncaughtException'],
  ['reject', 'nobody caught me'],
])('a service that does "%s" ends with exit code 1 and says why', async (BEHAVIOUR, why) => {
  const { code, output } = await start(['serve'], { BEHAVIOUR }).ended();
  expect(code).toBe(1);
  expect(output).toContain('"level":"fatal"');
  expect(output).toContain(why);
});

test('a failure while stopping is a failure', async () => {
  const service = start(['serve'], { BEHAVIOUR: 'fail-to-stop' });
  await service.said('"msg":"up"');
  service.child.kill('SIGTERM');
  expect(await service.ended()).toMatchObject({
    code: 1,
    output: expect.stringContaining('could not drain'),
  });
});

test.each([
  [['migrate'], 0, 'migrated up'],
  [['migrate', 'down'], 1, 'postgres://me:***@db/x can not be reached'],
  [['--help'], 0, 'Commands of example'],
  [['dance'], 2, 'there is no command "dance"'],
  [['serve', '--config', 'missing.yaml'], 2, 'missing.yaml'],
])('%j: exit code %i', async (args, expected, text) => {
  const { code, output } = await start(args).ended();
  expect(output).toContain(text);
  expect(output).not.toContain('s3cret');
  expect(code).toBe(expected);
});

test('a wrong configuration is listed and ends with exit code 2', async () => {
  const { code, output } = await start(['serve'], { PORT: 'x', SHUTDOWN: 'y' }).ended();
  expect(output).toContain('PORT must be a port');
  expect(output).toContain('SHUTDOWN must be a duration');
  expect(code).toBe(2);
});
