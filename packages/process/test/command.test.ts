import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { withSettings } from '../variables.ts';

const fixture = fileURLToPath(new URL('fixtures/service.ts', import.meta.url));
const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
});

function start(args: readonly string[], env: Record<string, string> = {}, cwd = process.cwd()) {
  const child = spawn(process.execPath, [fixture, ...args], {
    cwd,
    // After what it takes away: some are given under the name with the prefix.
    env: {
      ...withSettings(process.env, {
        PORT: undefined,
        SHUTDOWN: undefined,
        BEHAVIOUR: undefined,
        CONFIG_FILE: undefined,
        INIT_CWD: undefined,
      }),
      ...env,
    },
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
  [['migrate', 'reset', '--yes'], 2, 'example: postgres://me:***@db/x is full'],
  [['migrate', 'new', 'a-step'], 0, `a-step in ${dirname(fixture)}`],
  [['migrate', 'new', 'taken'], 1, 'example: it is taken'],
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

test('a refusal is a sentence, not a failure with its stack', async () => {
  const { output } = await start(['migrate', 'reset']).ended();
  expect(output).toBe('example: postgres://me:***@db/x is full\n');
});

test('a new step reads no configuration', async () => {
  const { code } = await start(['migrate', 'new', 'a-step'], {
    PORT: 'x',
    CONFIG_FILE: 'missing.yaml',
  }).ended();
  expect(code).toBe(0);
});

describe('the file', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tradewind-command-'));
    await writeFile(join(folder, 'a.yaml'), 'PORT: 4001\nSHUTDOWN: 5s\n');
    await writeFile(join(folder, 'wrong.yaml'), 'PORT: { http: 4001 }\n');
  });
  afterEach(() => rm(folder, { recursive: true }));

  test.each([
    ['--config', {}, (path: string) => ['--config', path], 4001],
    ['CONFIG_FILE', { CONFIG_FILE: 'a.yaml' }, () => [], 4001],
    ['APP_CONFIG_FILE, which wins', { CONFIG_FILE: 'none', APP_CONFIG_FILE: 'a.yaml' }, () => [], 4001],
    ['--config, which wins', { APP_CONFIG_FILE: 'none' }, (path: string) => ['--config', path], 4001],
    ['--config, and PORT wins over it', { PORT: '4002' }, (path: string) => ['--config', path], 4002],
    [
      '--config, and APP_PORT wins over all',
      { PORT: '4002', APP_PORT: '4003' },
      (path: string) => ['--config', path],
      4003,
    ],
  ])('is given by %s', async (_, env, args, port) => {
    const service = start(['serve', ...args(join(folder, 'a.yaml'))], env, folder);
    await service.said(`"port":${port},"msg":"up"`);
    service.child.kill('SIGTERM');
    expect((await service.ended()).code).toBe(0);
  });

  test('is found from where npm was called, when it is not where npm runs the script', async () => {
    const service = start(['serve', '--config', 'a.yaml'], { INIT_CWD: folder });
    await service.said('"port":4001,"msg":"up"');
  });

  test.each([['serve'], ['listen'], ['migrate'], ['rebuild']])('counts for %s', async (command) => {
    const { code, output } = await start([command, '--config', 'wrong.yaml'], {}, folder).ended();
    expect(output).toContain('PORT must be a single value or a list (in wrong.yaml)');
    expect(code).toBe(2);
  });
});

test('a variable with our prefix that resembles a setting is warned of, once, and any other is let be', async () => {
  const { code, output } = await start(['migrate'], { APP_PROT: '1', APP_ENV: 'test' }).ended();
  expect(output.match(/"level":"warn".*/g)).toEqual([
    expect.stringContaining('APP_PROT is not a setting; APP_PORT is'),
  ]);
  expect(code).toBe(0);
});

test('a wrong configuration is listed and ends with exit code 2', async () => {
  const { code, output } = await start(['serve'], { PORT: 'x', SHUTDOWN: 'y' }).ended();
  expect(output).toContain('PORT must be a port');
  expect(output).toContain('SHUTDOWN must be a duration');
  expect(code).toBe(2);
});
