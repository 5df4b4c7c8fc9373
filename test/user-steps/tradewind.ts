import { readFileSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { eventually, must } from './check.ts';
import { type Launched, launch, type Shell, signalGroup } from './shell.ts';

/** Where the services are, as the environment chooses it. */
export interface Ports {
  readonly order: number;
  readonly product: number;
  readonly stock: number;
  readonly ratings: number;
  readonly postgres: number;
}

export function portsOf(env: NodeJS.ProcessEnv): Ports {
  return {
    order: Number(env.ORDER_PORT ?? 3000),
    product: Number(env.PRODUCT_PORT ?? 8080),
    stock: Number(env.STOCK_PORT ?? 50051),
    ratings: Number(env.RATINGS_PORT ?? 8082),
    postgres: Number(env.TRADEWIND_POSTGRES_PORT ?? 25432),
  };
}

/** `npm start`, as a user runs it. */
export interface Started {
  readonly npm: Launched;
  /** From the command to the line `ready`. */
  readonly readyMs: number;
  text(): string;
}

const launched: Launched[] = [];

/** Ends whatever was started and still runs, so that nothing outlives this run. */
export async function endAll(): Promise<void> {
  for (const { process, exited } of launched) {
    if (process.exitCode === null && process.signalCode === null) signalGroup(process, 'SIGTERM');
    await exited;
  }
}

/** Runs `npm start` and waits for `ready`. */
export function start(shell: Shell, flags = ''): Promise<Started> {
  return startLine(shell, `npm start${flags && ` -- ${flags}`}`);
}

/** Runs a command that goes on and waits for `ready`. */
export async function startLine(shell: Shell, line: string, withinMs = 180_000): Promise<Started> {
  const npm = launch(shell, line);
  launched.push(npm);
  let ended = false;
  void npm.exited.then(() => {
    ended = true;
  });
  await eventually(
    async () => npm.text().slice(-2_000),
    (text) => ended || /^ready/m.test(text),
    withinMs,
  );
  must(/^ready/m.test(npm.text()), `${line} ended before it was ready:\n${npm.text()}`);
  return { npm, readyMs: Date.now() - npm.startedAt, text: npm.text };
}

/** Ctrl-C, or another signal to all of it; resolves with the exit code and how long it took. */
export async function stop(
  { npm }: Started,
  signal: NodeJS.Signals = 'SIGINT',
): Promise<{ code: number | null; ms: number }> {
  const began = Date.now();
  signalGroup(npm.process, signal);
  const hopeless = setTimeout(() => signalGroup(npm.process, 'SIGKILL'), 30_000);
  const code = await npm.exited;
  clearTimeout(hopeless);
  return { code, ms: Date.now() - began };
}

interface State {
  readonly starter: { readonly pid: number };
  readonly processes: readonly { readonly name: string; readonly pid: number }[];
}

/** What the starter wrote down about itself and its processes. */
export function stateOf({ cwd }: Shell, data = '.tradewind'): State {
  const folder = isAbsolute(data) ? data : join(cwd, data);
  return JSON.parse(readFileSync(join(folder, 'running.json'), 'utf8')) as State;
}

export function pidOf(shell: Shell, name: string, data?: string): number {
  const found = stateOf(shell, data).processes.findLast((process) => process.name === name);
  must(found !== undefined, `no process ${name} in running.json`);
  return found.pid;
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
