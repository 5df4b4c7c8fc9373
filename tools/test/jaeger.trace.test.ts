import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, credentials } from '@grpc/grpc-js';
import { readTraces } from '@tradewind/testing/jaeger-traces';
import { freePort } from '@tradewind/testing/port';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { identify, isAlive, type ProcessIdentity } from '../start/identity.ts';

const main = fileURLToPath(new URL('../jaeger.ts', import.meta.url));
let folder = '';
const begun: ChildProcess[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'jaeger-command-'));
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

/** `npm run jaeger -- …`, with what it says so far. */
function jaeger(args: readonly string[], env = process.env): { child: ChildProcess; text: () => string } {
  const child = spawn(process.execPath, [main, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  begun.push(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
  return { child, text: () => text };
}

/** Ports of its own for all, and its folder. */
async function options(): Promise<{ port: Record<string, number>; data: string; args: string[] }> {
  const port: Record<string, number> = {};
  for (const name of ['port', 'query-grpc', 'otlp-http', 'otlp-grpc', 'thrift'])
    port[name] = await freePort();
  const data = join(folder, 'jaeger');
  const args = Object.entries({ ...port, data }).flatMap(([name, value]) => [`--${name}`, String(value)]);
  return { port, data, args };
}

async function ready(one: ReturnType<typeof jaeger>): Promise<void> {
  await expect.poll(() => !running(one.child) || /^ready/m.test(one.text()), { timeout: 100_000 }).toBe(true);
  expect(one.text()).toMatch(/^ready/m);
}

async function processOf(data: string): Promise<ProcessIdentity> {
  const { processes } = JSON.parse(await readFile(join(data, 'running.json'), 'utf8')) as {
    processes: ProcessIdentity[];
  };
  const [found] = processes;
  if (!found) throw new Error('no Jaeger is on record');
  return found;
}

test('it says how to use it, takes a span by OTLP/HTTP, gives it back by its API, and Ctrl-C ends it', async () => {
  const { port, data, args } = await options();
  const one = jaeger(args);
  await ready(one);
  expect(one.text()).toContain(`OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:${port['otlp-http']} npm start`);
  expect(one.text()).toContain('It has no web page');
  expect(one.text()).toMatch(/\nready after [\d.]+ s\n$/);

  const traceId = '5b8efff798038103d269b633813fc60c';
  const now = BigInt(Date.now()) * 1_000_000n;
  const span = {
    traceId,
    spanId: 'eee19b7ec3c1b174',
    name: 'by hand',
    kind: 2,
    startTimeUnixNano: String(now),
    endTimeUnixNano: String(now + 2_000_000n),
  };
  const resource = { attributes: [{ key: 'service.name', value: { stringValue: 'hand' } }] };
  const taken = await fetch(`http://localhost:${port['otlp-http']}/v1/traces`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ spans: [span] }] }] }),
  });
  expect(taken.status).toBe(200);
  const reader = readTraces(`http://localhost:${port.port}`);
  const trace = await reader.until(traceId, (spans) => spans.length === 1);
  expect(trace.spans[0]).toMatchObject({
    service: 'hand',
    name: 'by hand',
    kind: 'server',
    durationUs: 2_000,
  });
  expect(await reader.services()).toEqual(['hand']);

  const server = await processOf(data);
  expect(await ended(one.child, 'SIGINT')).toBe(0);
  expect(identify(server.pid)).toBeUndefined();
  expect(one.text()).toMatch(/ended, and its traces with it\n$/);
});

test('its other ports answer: OTLP by gRPC, Jaeger’s Thrift', async () => {
  const { port, args } = await options();
  await ready(jaeger(args));
  const client = new Client(`localhost:${port['otlp-grpc']}`, credentials.createInsecure());
  const { promise, resolve, reject } = Promise.withResolvers<Buffer | undefined>();
  const raw = (bytes: Buffer) => bytes;
  client.makeUnaryRequest(
    '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
    raw,
    raw,
    Buffer.alloc(0),
    (error, answer) => (error ? reject(error) : resolve(answer)),
  );
  await promise;
  client.close();
  const thrift = await fetch(`http://localhost:${port.thrift}/api/traces`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-thrift' },
    body: 'no thrift',
  });
  expect([thrift.status, await thrift.text()]).toEqual([400, expect.stringContaining('Unable to process')]);
});

test('kill -9 of the command leaves a Jaeger, which the next start ends; one that dies ends the command', async () => {
  const { data, args } = await options();
  const first = jaeger(args);
  await ready(first);
  const orphan = await processOf(data);
  await ended(first.child, 'SIGKILL');
  expect(isAlive(orphan)).toBe(true);

  const second = jaeger(args);
  await ready(second);
  expect(second.text()).toContain(
    `an earlier start was killed; ending what it left: jaeger (pid ${orphan.pid})`,
  );
  expect(isAlive(orphan)).toBe(false);
  const beside = jaeger(args);
  expect(await ended(beside.child)).toBe(1);
  expect(beside.text()).toContain(`runs already on ${data}`);

  process.kill((await processOf(data)).pid, 'SIGKILL');
  expect(await ended(second.child)).toBe(1);
  expect(second.text()).toMatch(/Jaeger ended \(killed by SIGKILL\); .*jaeger\.log says why/);
});

test('taken ports, a wrong option and a machine without Go are told at once', async () => {
  const { args } = await options();
  const taken = new URL(inject('jaeger').otlpHttp).port;
  const beside = jaeger([...args, '--otlp-http', taken, '--thrift', taken]);
  expect(await ended(beside.child)).toBe(1);
  await expect
    .poll(beside.text)
    .toMatch(
      new RegExp(`port ${taken} for OTLP over HTTP is taken by .*jaeger .*--otlp-http chooses another`),
    );
  expect(beside.text()).toContain(
    `port ${taken} for Jaeger's Thrift is OTLP over HTTP's already; --thrift chooses another`,
  );

  const wrong = jaeger(['--max-traces', '5']);
  expect(await ended(wrong.child)).toBe(2);
  await expect
    .poll(wrong.text)
    .toContain('--max-traces must be a whole number from 100 to 10000000, not "5"');

  const bare = jaeger(['--build-only'], { PATH: '/nowhere', HOME: folder });
  expect(await ended(bare.child)).toBe(1);
  await expect.poll(bare.text).toContain('needs Go 1.21 or newer, and none is on the PATH');
});

test('--build-only has it built and starts nothing', async () => {
  const one = jaeger(['--build-only']);
  expect(await ended(one.child)).toBe(0);
  await expect.poll(one.text).toMatch(/^ +[\d.]+ s {2}built: .*jaeger-[\d.]+\/jaeger\n$/);
});
