import type { ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { freePort } from './port.ts';
import { endInOrder, isRunning } from './program.ts';
import { askRedis } from './redis/ask.ts';
import { type Life, startLife } from './redis/life.ts';
import { findRedis } from './redis/program.ts';

export interface RedisOptions {
  /** Folder of `redis.log` and of what it persists; made when missing, kept afterwards. Left out: one of its own, which goes with it. */
  readonly dataDir?: string;
  /** A free one when left out. */
  readonly port?: number;
  /** As in redis.conf, on top of ours: 127.0.0.1 only, and nothing persisted. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Progress, for people. */
  readonly onProgress?: (step: string) => void;
  /** Told each process as soon as there is one, long before it answers. */
  readonly onSpawn?: (process: ChildProcess) => void;
}

/** A real Redis that this process started. */
export interface Redis extends AsyncDisposable {
  /** `redis://127.0.0.1:PORT`, with the password that the settings require. */
  readonly url: string;
  readonly port: number;
  readonly dataDir: string;
  /** While it runs. */
  readonly pid: number | undefined;
  /** How this life ended, asked or unasked, for people. */
  readonly exited: Promise<string>;
  /** Gives it one command and resolves with the answer, when that is one line. */
  ask(...command: readonly string[]): Promise<string>;
  /** FLUSHALL: everything is gone, and nobody is told. */
  flush(): Promise<void>;
  /** kill -9; resolves when the process is gone. */
  kill(): Promise<void>;
  /** In order; by force after 10 s. */
  stop(): Promise<void>;
  /** Again, on the same port, with what it has persisted; resolves when it answers. */
  start(): Promise<void>;
  /** SIGSTOP: it keeps its connections and says nothing. */
  hold(): void;
  /** SIGCONT. */
  release(): void;
}

const STOP_MS = 10_000;

/** Starts a Redis on 127.0.0.1, where one is installed. Disposing it stops it; one that made a folder of its own takes that with it. */
export async function startRedis(options: RedisOptions = {}): Promise<Redis> {
  const { settings = {}, onProgress, onSpawn } = options;
  const program = await findRedis();
  const temporary = options.dataDir === undefined;
  const folder = temporary ? await mkdtemp(join(tmpdir(), 'tradewind-redis-')) : resolve(options.dataDir);
  await mkdir(folder, { recursive: true });
  const port = options.port ?? (await freePort());
  const password = settings.requirepass;
  onProgress?.(`starting Redis on port ${port}`);
  const begin = () => startLife(program, { folder, port, settings, onSpawn });
  let life: Life;
  try {
    life = await begin();
  } catch (error) {
    if (temporary) await rm(folder, { recursive: true, force: true });
    throw error;
  }
  const ask = (...command: readonly string[]) => askRedis({ port, password, timeoutMs: 10_000 }, ...command);
  const kill = async () => {
    if (isRunning(life.process)) life.process.kill('SIGKILL');
    await life.ended;
  };
  const stop = () => endInOrder(life.process, life.ended, STOP_MS);
  const login = password === undefined ? '' : `:${encodeURIComponent(password)}@`;
  return {
    url: `redis://${login}127.0.0.1:${port}`,
    port,
    dataDir: folder,
    get pid() {
      return isRunning(life.process) ? life.process.pid : undefined;
    },
    get exited() {
      return life.ended;
    },
    ask,
    flush: async () => void (await ask('FLUSHALL')),
    kill,
    stop,
    async start() {
      if (isRunning(life.process)) throw new Error(`the Redis on port ${port} runs already`);
      life = await begin();
    },
    hold: () => void life.process.kill('SIGSTOP'),
    release: () => void life.process.kill('SIGCONT'),
    async [Symbol.asyncDispose]() {
      if (!temporary) return await stop();
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
