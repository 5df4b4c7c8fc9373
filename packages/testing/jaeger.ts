import type { ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { JaegerPorts } from './jaeger/configuration.ts';
import { installJaeger } from './jaeger/install.ts';
import { type Life, startLife } from './jaeger/life.ts';
import { freePort } from './port.ts';
import { endInOrder, hold, isRunning } from './program.ts';

export interface JaegerOptions {
  /** Folder of its configuration and `jaeger.log`; made when missing, kept afterwards. Left out: one of its own, which goes with it. */
  readonly dataDir?: string;
  /** A free one for each that is left out. */
  readonly ports?: Partial<JaegerPorts>;
  /** It keeps the newest; 5,000 when left out, of which each takes about 60 kB at thirty spans. */
  readonly maxTraces?: number;
  /** Progress, for people. */
  readonly onProgress?: (step: string) => void;
  /** Told each process as soon as there is one, long before it answers. */
  readonly onSpawn?: (process: ChildProcess) => void;
  /** Gives up the build. */
  readonly signal?: AbortSignal;
}

/** Where a Jaeger is, as clients are told it; all on 127.0.0.1, without login. */
export interface JaegerUrls {
  /** As OTEL_EXPORTER_OTLP_ENDPOINT takes it: without `/v1/traces`. */
  readonly otlpHttp: string;
  readonly otlpGrpc: string;
  /** As the Jaeger exporter takes it: with `/api/traces`. */
  readonly thrift: string;
  /** Its API: `readTraces` of jaeger-traces.ts asks it. */
  readonly query: string;
}

/** A real Jaeger that this process started. Its traces are in its memory alone: a life's end is theirs. */
export interface Jaeger extends AsyncDisposable {
  readonly urls: JaegerUrls;
  readonly ports: JaegerPorts;
  readonly dataDir: string;
  readonly maxTraces: number;
  /** While it runs. */
  readonly pid: number | undefined;
  /** How this life ended, asked or unasked, for people. */
  readonly exited: Promise<string>;
  /** kill -9; resolves when the process is gone. */
  kill(): Promise<void>;
  /** In order; by force after 10 s. */
  stop(): Promise<void>;
  /** Again, on the same ports and without a trace; resolves when it takes some. */
  start(): Promise<void>;
  /** SIGSTOP: it keeps its connections and says nothing. */
  hold(): void;
  /** SIGCONT. */
  release(): void;
}

export const MAX_TRACES = 5_000;
const STOP_MS = 10_000;

/**
 * Starts a Jaeger on 127.0.0.1, and builds it first when the cache has none. Disposing it stops it; one that made a folder of its own
 * takes that with it.
 */
export async function startJaeger(options: JaegerOptions = {}): Promise<Jaeger> {
  const { onProgress, onSpawn, maxTraces = MAX_TRACES } = options;
  const program = await installJaeger(onProgress, { signal: options.signal });
  const temporary = options.dataDir === undefined;
  const folder = temporary ? await mkdtemp(join(tmpdir(), 'tradewind-jaeger-')) : resolve(options.dataDir);
  await mkdir(folder, { recursive: true });
  const ports = await portsOf(options.ports);
  onProgress?.(`starting Jaeger on port ${ports.query}`);
  const begin = () => startLife(program, { folder, ports, maxTraces, onSpawn });
  let life: Life;
  try {
    life = await begin();
  } catch (error) {
    if (temporary) await rm(folder, { recursive: true, force: true });
    throw error;
  }
  const kill = async () => {
    if (isRunning(life.process)) life.process.kill('SIGKILL');
    await life.ended;
  };
  const stop = () => endInOrder(life.process, life.ended, STOP_MS);
  return {
    urls: urlsOf(ports),
    ports,
    dataDir: folder,
    maxTraces,
    get pid() {
      return isRunning(life.process) ? life.process.pid : undefined;
    },
    get exited() {
      return life.ended;
    },
    kill,
    stop,
    async start() {
      if (isRunning(life.process)) throw new Error(`the Jaeger on port ${ports.query} runs already`);
      life = await begin();
    },
    hold: () => hold(life.process),
    release: () => void life.process.kill('SIGCONT'),
    async [Symbol.asyncDispose]() {
      if (!temporary) return await stop();
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function portsOf(chosen: Partial<JaegerPorts> = {}): Promise<JaegerPorts> {
  return {
    query: chosen.query ?? (await freePort()),
    queryGrpc: chosen.queryGrpc ?? (await freePort()),
    otlpHttp: chosen.otlpHttp ?? (await freePort()),
    otlpGrpc: chosen.otlpGrpc ?? (await freePort()),
    thrift: chosen.thrift ?? (await freePort()),
  };
}

function urlsOf({ otlpHttp, otlpGrpc, thrift, query }: JaegerPorts): JaegerUrls {
  const at = (port: number) => `http://127.0.0.1:${port}`;
  return {
    otlpHttp: at(otlpHttp),
    otlpGrpc: at(otlpGrpc),
    thrift: `${at(thrift)}/api/traces`,
    query: at(query),
  };
}
