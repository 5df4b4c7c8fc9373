import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from '@tradewind/testing/port';

const run = promisify(execFile);

const ORDINARY = 1_000;

/** The traces that are sent, by what must become of them. */
const SPECIAL = ['failed', 'slow', 'dead letter', 'retried'] as const;

/**
 * Starts a Collector with the configuration, sends it traces, and looks which ones it passes on.
 * @returns what is wrong, a line each
 */
export async function checkCollector(program: string, configuration: string): Promise<string[]> {
  try {
    await run(program, ['validate', '--config', configuration]);
  } catch (error) {
    return [String((error as { stderr?: string }).stderr ?? error).trim()];
  }
  await using behind = await receiver();
  await using collector = await start(program, configuration, behind.port);
  await collector.ready();
  const now = Date.now();
  await collector.send([
    ...SPECIAL.map((kind, n) => spanOf(n + 1, now, kind)),
    ...Array.from({ length: ORDINARY }, (_, n) => spanOf(n + 100, now, 'ordinary')),
  ]);
  // The decision comes a second after a trace; it comes for all of them in one.
  for (let waits = 0; behind.kinds().length === 0 && waits < 200; waits++) await sleep(100);
  for (let before = -1; before !== behind.kinds().length; ) {
    before = behind.kinds().length;
    await sleep(1_500);
  }
  const kept = behind.kinds();
  const share = kept.filter((kind) => kind === 'ordinary').length / ORDINARY;
  return [
    ...SPECIAL.filter((kind) => !kept.includes(kind)).map((kind) => `a trace that is "${kind}" was not kept`),
    ...(share > 0.05 && share < 0.15
      ? []
      : [`${share * 100} % of the ordinary traces were kept, not some 10 %`]),
  ];
}

/** A trace of one span, as OTLP has it in JSON. Its id is made of its number, so that the same ones are kept each time. */
function spanOf(number: number, now: number, kind: (typeof SPECIAL)[number] | 'ordinary') {
  const id = (number * 2_654_435_761).toString(16).padStart(16, '0');
  const nanos = (ms: number) => `${ms}000000`;
  const events = kind === 'dead letter' ? ['dead letter'] : kind === 'retried' ? ['hold'] : [];
  return {
    traceId: `${id}${id}`,
    spanId: id,
    name: kind,
    kind: 2,
    startTimeUnixNano: nanos(now),
    endTimeUnixNano: nanos(now + (kind === 'slow' ? 3_000 : 5)),
    events: events.map((name) => ({ name, timeUnixNano: nanos(now) })),
    status: { code: kind === 'failed' ? 2 : 0 },
  };
}

/** Stands behind the Collector and notes the names of the spans that come. */
async function receiver() {
  const names: string[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk as Uint8Array);
    const body = JSON.parse(Buffer.concat(chunks).toString()) as {
      resourceSpans: { scopeSpans: { spans: { name: string }[] }[] }[];
    };
    const scopes = body.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans);
    names.push(...scopes.flatMap(({ spans }) => spans.map(({ name }) => name)));
    response.setHeader('content-type', 'application/json').end('{}');
  });
  const port = await freePort();
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    port,
    kinds: () => names,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** On ports of its own, deciding after a second, with us in Jaeger's place; all else is as in the configuration. */
async function start(program: string, configuration: string, port: number) {
  const [grpc, http, health, own] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const folder = await mkdtemp(join(tmpdir(), 'tradewind-collector-'));
  const changes = join(folder, 'changes.yml');
  const at = (number: number) => `127.0.0.1:${number}`;
  await writeFile(
    changes,
    JSON.stringify({
      extensions: { healthcheckv2: { http: { endpoint: at(health) } } },
      receivers: { otlp: { protocols: { grpc: { endpoint: at(grpc) }, http: { endpoint: at(http) } } } },
      processors: { tail_sampling: { decision_wait: '1s' } },
      exporters: { otlphttp: { endpoint: `http://${at(port)}`, encoding: 'json', compression: 'none' } },
      service: {
        pipelines: { traces: { exporters: ['otlphttp'] } },
        telemetry: {
          metrics: { readers: [{ pull: { exporter: { prometheus: { host: '127.0.0.1', port: own } } } }] },
        },
      },
    }),
  );
  const child = spawn(program, ['--config', configuration, '--config', changes], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = `${said}${text}`.slice(-4_000);
  });
  const ended = once(child, 'exit');
  return {
    async ready() {
      for (let waits = 0; waits < 300; waits++) {
        if (child.exitCode !== null) throw new Error(`the Collector ended: ${said}`);
        if ((await fetch(`http://${at(health)}/status`).catch(() => undefined))?.ok) return;
        await sleep(100);
      }
      throw new Error(`the Collector did not become healthy: ${said}`);
    },
    async send(spans: readonly object[]) {
      const response = await fetch(`http://${at(http)}/v1/traces`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans }] }] }),
      });
      if (!response.ok)
        throw new Error(`the Collector answered ${response.status}: ${await response.text()}`);
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
