import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { withSettings } from '@tradewind/process/variables';
import { freePort } from '@tradewind/testing/port';
import type { Addresses } from '../load/books.ts';
import { isAlive, type ProcessIdentity } from '../start/identity.ts';
import { functions, services, variable } from '../start/services.ts';
import type { RecordedProcess, State } from '../start/state.ts';

/** `npm start -- --split` as a process of its own, on ports of its own, that may die and be started again on its data. */
export interface System extends AsyncDisposable {
  readonly dataDir: string;
  /** What to set so that another start uses the same ports. */
  readonly env: NodeJS.ProcessEnv;
  readonly addresses: Addresses;
  /** Of a service's database, or of `log`. */
  databaseUrl(name: string): string;
  /** Starts everything; resolves when it says `ready`. Rejects with its last words when it does not come up. */
  start(): Promise<void>;
  /** The process that has this name now; undefined when it is dead. */
  identity(name: string): ProcessIdentity | undefined;
  /** Of everything that was started and runs. */
  identities(): readonly ProcessIdentity[];
  /** Kills the starter, and nothing else. */
  killStarter(): void;
  /** Asks the starter to end everything; resolves with its exit code. */
  stop(): Promise<number | null>;
}

const starter = fileURLToPath(new URL('../start.ts', import.meta.url));
const START_MS = 120_000;

export async function openSystem(dataDir: string): Promise<System> {
  const postgresPort = await freePort();
  const ports = new Map<string, number>();
  for (const { name } of [...services, ...functions]) ports.set(name, await freePort());
  const env = environment(ports, postgresPort);
  const url = (name: string) => `http://127.0.0.1:${ports.get(name)}`;
  let child: ChildProcess | undefined;
  const stop = async () => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const { promise, resolve } = Promise.withResolvers<number | null>();
    child.once('exit', (code) => resolve(code));
    child.kill('SIGTERM');
    return await promise;
  };
  return {
    dataDir,
    env,
    addresses: {
      orderUrl: url('order'),
      productUrl: url('product'),
      stockUrl: url('stock'),
      ratingsUrl: url('ratings'),
    },
    databaseUrl: (name) => `postgres://postgres@127.0.0.1:${postgresPort}/${name}`,
    async start() {
      const args = [starter, '--split', '--data', dataDir];
      // A process group of its own: Ctrl-C reaches this process alone, which then ends the starter.
      child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
      await untilReady(child, join(dataDir, 'logs'));
    },
    identity: (name) => recorded(dataDir).findLast((process) => process.name === name),
    identities: () => recorded(dataDir),
    killStarter: () => void child?.kill('SIGKILL'),
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
}

function environment(ports: ReadonlyMap<string, number>, postgresPort: number): NodeJS.ProcessEnv {
  return withSettings(process.env, {
    TRADEWIND_POSTGRES_PORT: String(postgresPort),
    // Only what was started here may be killed, so nobody else's server is used.
    EVENT_LOG_URL: undefined,
    REDIS_URL: undefined,
    ...Object.fromEntries(
      services.flatMap(({ name }) => [
        [variable(name, 'DATABASE_URL'), undefined],
        [variable(name, 'PORT'), String(ports.get(name))],
      ]),
    ),
    ...Object.fromEntries(
      functions.flatMap(({ name }) => [
        [variable(name, 'URL'), undefined],
        [variable(name, 'PORT'), String(ports.get(name))],
      ]),
    ),
  });
}

async function untilReady(child: ChildProcess, logs: string): Promise<void> {
  mkdirSync(logs, { recursive: true });
  const file = createWriteStream(join(logs, 'starter.log'), { flags: 'a' });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const words: string[] = [];
  const fail = (why: string) => reject(new Error(`npm start ${why}:\n${words.slice(-20).join('\n')}`));
  for (const stream of [child.stdout, child.stderr]) {
    if (!stream) continue;
    createInterface({ input: stream }).on('line', (line) => {
      file.write(`${line}\n`);
      words.push(line);
      if (line.startsWith('ready')) resolve();
    });
  }
  child.once('close', (code, signal) => {
    file.end();
    fail(`ended (${signal ?? `exit code ${code}`}) before it was ready`);
  });
  const timer = setTimeout(() => fail(`was not ready after ${START_MS} ms`), START_MS);
  await promise.finally(() => clearTimeout(timer));
}

/** What runs, as the starter noted it. */
function recorded(dataDir: string): readonly RecordedProcess[] {
  try {
    const { processes } = JSON.parse(readFileSync(join(dataDir, 'running.json'), 'utf8')) as State;
    return processes.filter(isAlive);
  } catch {
    return [];
  }
}
