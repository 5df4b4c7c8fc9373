import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';

/** A user's machine: the folder of the clone, and an environment without what this run's own npm put there. */
export interface Shell {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
}

export interface Outcome {
  readonly code: number | null;
  /** Of standard output and standard error, as they came. */
  readonly text: string;
  readonly stdout: string;
  readonly ms: number;
}

/** What npm tells the scripts that it runs, what is said to one Node alone, and settings with a prefix, which would win over those of the steps. */
const ofScripts =
  /^(npm_(?!config_)|npm_config_(local_prefix|user_agent|call)$|INIT_CWD$|NODE$|NODE_(OPTIONS|PATH|COMPILE_CACHE)$|CI$|APP_)/;

/** An environment as a fresh terminal has it: the machine's own Node, no node_modules/.bin of another checkout. */
export function freshEnvironment(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !ofScripts.test(name));
  const path = (process.env.PATH ?? '').split(':').filter((folder) => !folder.includes('node_modules'));
  return { ...Object.fromEntries(kept), PATH: path.join(':'), ...more };
}

/** Runs a command line of a user to its end. */
export async function run(shell: Shell, line: string, timeoutMs = 60_000): Promise<Outcome> {
  const child = launch(shell, line);
  const timer = setTimeout(() => signalGroup(child.process, 'SIGKILL'), timeoutMs);
  const code = await child.exited;
  clearTimeout(timer);
  const ms = Date.now() - child.startedAt;
  const text = ms >= timeoutMs ? `${child.text()}\n(killed after ${timeoutMs} ms)` : child.text();
  return { code, text, stdout: child.stdout(), ms };
}

/** The same; fails when the command does. */
export async function succeed(shell: Shell, line: string, timeoutMs?: number): Promise<Outcome> {
  const outcome = await run(shell, line, timeoutMs);
  if (outcome.code !== 0)
    throw new Error(`${line}\nexit code ${outcome.code}:\n${outcome.text.slice(-3_000)}`);
  return outcome;
}

export interface Launched {
  readonly process: ChildProcess;
  readonly startedAt: number;
  readonly exited: Promise<number | null>;
  text(): string;
  stdout(): string;
}

/** Starts a command line in a process group of its own, as a terminal does. */
export function launch({ cwd, env }: Shell, line: string): Launched {
  const options: SpawnOptions = { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] };
  const child = spawn('/bin/sh', ['-c', `exec ${line}`], options);
  let [stdout, text] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk;
    text += chunk;
  });
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const exited = new Promise<number | null>((resolve) => {
    child.once('close', (code) => resolve(code));
    child.once('error', () => resolve(null));
  });
  return { process: child, startedAt: Date.now(), exited, text: () => text, stdout: () => stdout };
}

/** What Ctrl-C does: every process of the terminal's foreground group gets it. */
export function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch {
    // It has ended already.
  }
}
