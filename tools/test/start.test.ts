import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withSettings } from '@tradewind/process/variables';
import { freePort } from '@tradewind/testing/port';
import { createDatabase } from '@tradewind/testing/postgres';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { identify, isAlive } from '../start/identity.ts';
import { type StartOptions, startOptions } from '../start/options.ts';
import { functions } from '../start/services.ts';
import { AlreadyRunning, StateFile } from '../start/state.ts';
import { summary } from '../start/summary.ts';
import { type StartHooks, startTradewind } from '../start/tradewind.ts';
import { fakeServices } from './fixtures/fake-services.ts';

let dataDir: string;
let scope: AsyncDisposableStack;

beforeEach(async () => {
  scope = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'tradewind-start-'));

  scope.defer(() => rm(folder, { recursive: true, force: true }));
  dataDir = join(folder, 'data');
});
afterEach(() => scope.disposeAsync());

/** Fake services over databases of the test server, so that a start takes no server of its own. */
async function given(names: readonly string[] = ['a']): Promise<Partial<StartOptions> & { dataDir: string }> {
  const database = async () => scope.use(await createDatabase('start')).url;
  const ports = await Promise.all(names.map(async (name) => [name, await freePort()] as const));
  const urls = await Promise.all(names.map(async (name) => [name, await database()] as const));
  return {
    dataDir,
    services: fakeServices(names),
    seed: 'none',
    ports: Object.fromEntries(ports),
    databaseUrls: Object.fromEntries(urls),
    eventLogUrl: await database(),
  };
}

async function started(options: Partial<StartOptions> & { dataDir: string }, hooks: StartHooks = {}) {
  return scope.use(await startTradewind(options, hooks));
}

async function environmentOf(url: string): Promise<Record<string, unknown>> {
  return (await (await fetch(`${url}/environment`)).json()) as Record<string, unknown>;
}

test('a process that dies is started again, said aloud, and is ready again', async () => {
  const lines: string[] = [];
  const running = await started(await given(['a', 'b']), { say: (line) => lines.push(line) });
  const before = running.pids();
  expect(Object.keys(before).sort()).toEqual(['a', 'b']);
  running.kill('a');
  await vi.waitFor(() => expect(running.pids().a ?? before.a).not.toBe(before.a), { timeout: 10_000 });
  await running.ready();
  expect(running.pids().b).toBe(before.b);
  expect(lines).toContainEqual(
    expect.stringMatching(/^a ended \(killed by SIGKILL\); starting it again in \d\.\d s$/),
  );
});

test('each service gets its own addresses and nothing that is meant for another, under either name', async () => {
  const names = [
    'PORT',
    'HEALTH_PORT',
    'DATABASE_URL',
    'EVENT_LOG_URL',
    'HOST',
    'CONFIG_FILE',
    'OTEL_SERVICE_NAME',
  ];
  const strange = Object.fromEntries(
    names.flatMap((name) => [name, `APP_${name}`].map((key) => [key, 'mine'])),
  );
  const lines: string[] = [];
  const options = {
    ...(await given(['a', 'b'])),
    host: '127.0.0.1',
    env: {
      ...process.env,
      ...strange,
      EVENT_LOG_URL: '',
      APP_EVENT_LOG_URL: '',
      APP_SHUTDOWN: '3s',
      APP_A_PROT: '1',
    },
  };
  const running = await started(options, { say: (line) => lines.push(line) });
  expect(lines).toContainEqual(expect.stringContaining('APP_DATABASE_URL is left aside'));
  expect(lines).toContainEqual('APP_A_PROT is not a setting; APP_A_PORT is');
  const { a, b } = running.addresses.serviceUrls;
  for (const [name, url] of Object.entries({ a, b })) {
    const environment = await environmentOf(url ?? '');
    expect(Object.values(environment)).not.toContain('mine');
    expect(environment.SHUTDOWN).toBe('3s');
    expect(environment).toMatchObject({
      PORT: String(running.options.ports[name]),
      DATABASE_URL: running.addresses.databaseUrls[name],
      EVENT_LOG_URL: running.addresses.eventLogUrl,
      HOST: '127.0.0.1',
      roles: ['serve', 'listen'],
    });
  }
});

test('split, serving and listening are processes of their own, each waited for', async () => {
  const running = await started({ ...(await given()), split: true });
  expect(Object.keys(running.pids()).sort()).toEqual(['a listen', 'a serve']);
  expect(await environmentOf(running.addresses.serviceUrls.a ?? '')).toMatchObject({ roles: ['serve'] });
  running.kill('a listen');
  await running.ready('a listen');
});

test('a held process stays away until it is released', async () => {
  const running = await started(await given(['a', 'b']));
  await running.hold('a');
  expect(Object.keys(running.pids())).toEqual(['b']);
  await running.ready();
  await running.release('a');
  expect(Object.keys(running.pids()).sort()).toEqual(['a', 'b']);
  expect((await fetch(`${running.addresses.serviceUrls.a}/health/ready`)).status).toBe(200);
});

test('a process that does not listen to reason is ended by force, in time', async () => {
  const lines: string[] = [];
  const running = await started(await given(['a', 'b']), { say: (line) => lines.push(line) });
  const { a } = running.pids();
  running.kill('a', 'SIGSTOP');
  const begun = Date.now();
  await running.stop();
  expect(Date.now() - begun).toBeLessThan(9_500);
  expect(identify(a ?? 0)).toBeUndefined();
  expect(lines).toContain('a did not end within 6000 ms; ending it by force');
});

test('a start beside a running one says its pid and its ports, and harms nothing', async () => {
  const options = await given();
  const running = await started(options);
  const before = running.pids();
  const error = await startTradewind(options).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(AlreadyRunning);
  expect(String(error)).toContain(`pid ${process.pid}, a on ${options.ports?.a}`);
  expect(running.pids()).toEqual(before);
  await running.stop();
  await started(options);
});

test('a taken port is named, with who has it and which variable chooses another; all at once', async () => {
  const options = await given(['a', 'b']);
  const server = createServer().listen(options.ports?.a, '127.0.0.1');
  scope.defer(() => void server.close());
  await once(server, 'listening');
  const twin = { ...options, ports: { a: options.ports?.a ?? 0, b: options.ports?.a ?? 0 } };
  const { message } = (await startTradewind(twin).catch((error: unknown) => error)) as Error;
  expect(message).toContain(`port ${options.ports?.a} for a is taken by `);
  expect(message).toMatch(new RegExp(`\\(pid ${process.pid}\\); A_PORT chooses another`));
  expect(message).toContain(`port ${options.ports?.a} for b is a's already; B_PORT chooses another`);
  expect(server.listening).toBe(true);
});

test('a migration that fails ends the start with what it said, and nothing is left', async () => {
  const options = { ...(await given(['a', 'b'])), env: { ...process.env, FAKE_BROKEN: 'true' } };
  await expect(startTradewind(options)).rejects.toThrow(
    /migrate failed \(exit code 1\)[\s\S]*this schema step is broken/,
  );
  await expect(readFile(join(dataDir, 'running.json'))).rejects.toThrow('ENOENT');
});

test('a service that can not start is not waited for', async () => {
  const options = { ...(await given()), env: { ...process.env, SHUTDOWN: 'never' } };
  await expect(startTradewind(options)).rejects.toThrow(/exit code 2[\s\S]*SHUTDOWN must be a duration/);
});

test('a start that is given up ends what it started', async () => {
  const controller = new AbortController();
  const reason = new Error('given up');
  const say = (line: string) => line.endsWith('starting') && controller.abort(reason);
  await expect(startTradewind(await given(['a', 'b']), { say, signal: controller.signal })).rejects.toBe(
    reason,
  );
  await expect(readFile(join(dataDir, 'running.json'))).rejects.toThrow('ENOENT');
});

describe('a function beside the services', () => {
  const name = 'ratings-lambda';
  /** One service that calls it. */
  async function withFunction(env: Record<string, string> = {}) {
    const options = await given();
    const services = fakeServices(['a']).map((spec) => ({ ...spec, calls: [name] }));
    return { ...options, services, functions, env: { ...process.env, ...env } };
  }
  const post = async (url = '') => {
    const headers = { 'content-type': 'application/json' };
    const body = '{"ratings":{"4":1,"5":"3"}}';
    return await fetch(url, { method: 'POST', headers, body }).then(
      (answer) => answer.json(),
      () => undefined,
    );
  };
  const ANSWER = { avg: 4.75, totalCount: 4 };

  test('is started too, and told to those that call it', async () => {
    const running = await started(await withFunction());
    expect(Object.keys(running.pids()).sort()).toEqual(['a', name]);
    const url = running.addresses.functionUrls[name];
    expect(await post(url)).toEqual(ANSWER);
    expect(url).toBe(`http://127.0.0.1:${running.options.ports[name]}`);
    expect(await environmentOf(running.addresses.serviceUrls.a ?? '')).toMatchObject({
      RATINGS_LAMBDA_URL: url,
    });
    expect(summary(running, 1)).toMatch(new RegExp(`^ +${name} +${url}/ +statistics of ratings`, 'm'));
    const { ports } = JSON.parse(await readFile(join(dataDir, 'running.json'), 'utf8'));
    expect(ports).toEqual({ a: running.options.ports.a, [name]: running.options.ports[name] });
  });

  test('is killed, held, released and restarted as services are', async () => {
    const running = await started(await withFunction());
    const url = running.addresses.functionUrls[name];
    const { [name]: first } = running.pids();
    running.kill(name);
    await vi.waitFor(() => expect(running.pids()[name] ?? first).not.toBe(first), { timeout: 10_000 });
    await running.ready(name);
    expect(await post(url)).toEqual(ANSWER);
    await running.hold(name);
    expect([Object.keys(running.pids()), await post(url)]).toEqual([['a'], undefined]);
    await running.release(name);
    expect(await post(url)).toEqual(ANSWER);
    const { [name]: held } = running.pids();
    await running.restart(name);
    expect(running.pids()[name]).not.toBe(held);
    expect(await post(url)).toEqual(ANSWER);
  });

  test('is one process when services are two', async () => {
    const running = await started({ ...(await withFunction()), split: true });
    expect(Object.keys(running.pids()).sort()).toEqual(['a listen', 'a serve', name]);
  });

  test('that is elsewhere is used there, and not started', async () => {
    const url = 'https://me:s3cret@abc.lambda-url.eu-central-1.on.aws/';
    const lines: string[] = [];
    const running = await started(await withFunction({ RATINGS_LAMBDA_URL: url }), {
      say: (line) => lines.push(line),
    });
    expect(Object.keys(running.pids())).toEqual(['a']);
    expect(running.options.ports).toEqual({ a: running.options.ports.a });
    expect(await environmentOf(running.addresses.serviceUrls.a ?? '')).toMatchObject({
      RATINGS_LAMBDA_URL: url,
    });
    const shown = url.replace('s3cret', '***');
    expect(lines).toContain(`${name}: uses ${shown}`);
    expect(summary(running, 1)).toContain(shown);
    expect(summary(running, 1)).not.toContain('s3cret');
  });

  test('has its port from the environment, named when it is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    scope.defer(() => void server.close());
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const env = { RATINGS_LAMBDA_PORT: String(port) };
    const { ports } = startOptions({ dataDir, services: [], functions }, env);
    expect(ports).toEqual({ [name]: port });
    const options = await withFunction();
    const taken = { ...options, ports: { ...options.ports, ...ports } };
    await expect(startTradewind(taken)).rejects.toThrow(
      new RegExp(`port ${port} for ${name} is taken by .*; RATINGS_LAMBDA_PORT chooses another`),
    );
  });

  test('is at 8089 when nothing is said, and what is wrong with its settings is listed', () => {
    expect(startOptions({ dataDir }, {}).ports).toMatchObject({ [name]: 8089 });
    const read = () => startOptions({ dataDir }, { RATINGS_LAMBDA_URL: 'ftp://x', RATINGS_LAMBDA_PORT: 'x' });
    expect(read).toThrow(/RATINGS_LAMBDA_PORT[\s\S]*RATINGS_LAMBDA_URL/);
  });
});

describe('the record of a run', () => {
  test('names a process by number and start time, so that a number given out again is left alone', async () => {
    const bystander = spawn('sleep', ['60']);
    scope.defer(() => void bystander.kill());
    const { file } = StateFile.claim(dataDir, {});
    file.record('a', bystander.pid ?? 0);
    const path = join(dataDir, 'running.json');
    const state = JSON.parse(await readFile(path, 'utf8'));
    const startedAt = 'another time';
    const processes = [{ ...state.processes[0], startedAt }];
    await writeFile(path, JSON.stringify({ ...state, starter: { ...state.starter, startedAt }, processes }));
    await started(await given());
    expect(bystander.exitCode ?? bystander.signalCode).toBeNull();
  });

  test('is claimed by one of many that start at once, also over what a dead one left', async () => {
    StateFile.claim(dataDir, {});
    const path = join(dataDir, 'running.json');
    const state = JSON.parse(await readFile(path, 'utf8'));
    await writeFile(path, JSON.stringify({ ...state, starter: { pid: 1, startedAt: 'never' } }));
    const script = `
      const { StateFile } = await import(${JSON.stringify(new URL('../start/state.ts', import.meta.url).href)});
      try { StateFile.claim(${JSON.stringify(dataDir)}, {}); console.log('mine'); } catch (error) { console.log(error.name); }
      setInterval(() => {}, 1000);`;
    const claims = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        scope.defer(() => void child.kill('SIGKILL'));
        return String((await once(child.stdout, 'data'))[0]).trim();
      }),
    );
    expect(claims.sort()).toEqual(['AlreadyRunning', 'AlreadyRunning', 'AlreadyRunning', 'mine']);
  });

  test('a zombie has ended', async () => {
    const child = spawn('sh', ['-c', 'sleep 0 & exec sleep 60'], { stdio: 'ignore' });
    scope.defer(() => void child.kill('SIGKILL'));
    await once(child, 'spawn');
    const identity = identify(child.pid ?? 0);
    expect(identity && isAlive(identity)).toBe(true);
    const children = `/proc/${child.pid}/task/${child.pid}/children`;
    if (process.platform !== 'linux') return;
    await vi.waitFor(async () => {
      const zombie = Number((await readFile(children, 'utf8')).trim());
      expect(await readFile(`/proc/${zombie}/stat`, 'utf8')).toContain(') Z ');
      expect(identify(zombie)).toBeUndefined();
    });
  });
});

test('what is wrong with the environment is listed at once, secrets masked', () => {
  const env = { A_PORT: 'x', TRADEWIND_POSTGRES_PORT: '-1', EVENT_LOG_URL: 'mysql://me:s3cret@x/y' };
  const read = () => startOptions({ dataDir, services: fakeServices(['a']) }, env);
  expect(read).toThrow(/TRADEWIND_POSTGRES_PORT[\s\S]*EVENT_LOG_URL[\s\S]*A_PORT/);
  expect(read).not.toThrow('s3cret');
});

describe('as a process, with a PostgreSQL of its own', () => {
  const fixture = fileURLToPath(new URL('fixtures/fake-start.ts', import.meta.url));
  let env: NodeJS.ProcessEnv;
  beforeEach(async () => {
    const [a, b, postgres] = await Promise.all([freePort(), freePort(), freePort()]);
    env = withSettings(process.env, {
      A_PORT: String(a),
      B_PORT: String(b),
      TRADEWIND_POSTGRES_PORT: String(postgres),
    });
  });

  async function launch(): Promise<{
    child: ChildProcess;
    output: () => string;
    pids: Record<string, number>;
  }> {
    const child = spawn(process.execPath, [fixture, dataDir], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    scope.defer(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      await once(child, 'exit');
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
    const died = once(child, 'exit').then(([code]) =>
      Promise.reject(new Error(`ended with ${code}: ${output}`)),
    );
    died.catch(() => undefined);
    await Promise.race([
      died,
      vi.waitFor(() => expect(output).toMatch(/^ready .*\n/m), { timeout: 50_000, interval: 50 }),
    ]);
    return { child, output: () => output, pids: JSON.parse(/^ready (.*)$/m.exec(output)?.[1] ?? '{}') };
  }

  const alive = (pids: Record<string, number>) =>
    Object.entries(pids)
      .filter(([, pid]) => identify(pid))
      .map(([name]) => name);

  test('SIGTERM ends all of it in order, with exit code 0, and a second start finds its data', {
    timeout: 60_000,
  }, async () => {
    const first = await launch();
    expect(alive(first.pids).sort()).toEqual(['a', 'b', 'postgres']);
    const begun = Date.now();
    first.child.kill('SIGTERM');
    expect(await once(first.child, 'exit')).toEqual([0, null]);
    expect(Date.now() - begun).toBeLessThan(10_000);
    expect(alive(first.pids)).toEqual([]);
    const second = await launch();
    expect(second.output()).not.toContain('creating the PostgreSQL data folder');
    expect(await readFile(join(dataDir, 'logs', 'postgres.log'), 'utf8')).not.toContain(
      'not properly shut down',
    );
  });

  test('after a kill -9 of the starter the next start ends its orphans, PostgreSQL too, and goes on', {
    timeout: 60_000,
  }, async () => {
    const first = await launch();
    first.child.kill('SIGKILL');
    await once(first.child, 'exit');
    expect(alive(first.pids).sort()).toEqual(['a', 'b', 'postgres']);
    const second = await launch();
    expect(alive(first.pids)).toEqual([]);
    expect(alive(second.pids).sort()).toEqual(['a', 'b', 'postgres']);
    expect(second.output()).toMatch(
      /an earlier start was killed; ending what it left: .*postgres \(pid \d+\)/,
    );
  });

  test('a PostgreSQL that is killed comes back, and the services with it', { timeout: 60_000 }, async () => {
    const { pids, output } = await launch();
    process.kill(pids.postgres ?? 0, 'SIGKILL');
    await vi.waitFor(() => expect(output()).toContain('postgres ended (killed by SIGKILL)'), {
      timeout: 10_000,
    });
    const ready = async () => (await fetch(`http://127.0.0.1:${env.A_PORT}/health/ready`)).status;
    await vi.waitFor(async () => expect(await ready()).toBe(200), { timeout: 20_000 });
    expect(identify(pids.a ?? 0)).toBeDefined();
  });
});

describe('npm start', () => {
  const cli = fileURLToPath(new URL('../start.ts', import.meta.url));
  test.each([
    [['--fast'], 2, "Unknown option '--fast'"],
    [['--seed', 'all'], 2, '--seed must be none or catalogue, not "all"'],
    [['extra'], 2, "Unexpected argument 'extra'"],
    [['--help'], 0, '--split'],
  ])('%j: exit code %i', async (args, expected, text) => {
    const child = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        output += chunk;
      });
    }
    expect(await once(child, 'close')).toEqual([expected, null]);
    expect(output).toContain(text);
  });
});
