import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, renameSync, statSync } from 'node:fs';

/** At a start a longer log becomes `<file>.1`. */
const ROTATE_BYTES = 10 * 2 ** 20;

export interface ProgramOptions {
  /** Output and errors are added to it. */
  readonly logFile: string;
  readonly cwd: string;
}

/** Spawns a program that others wrote. Its process ends with this one, where this one has the time to say so. */
export function spawnProgram(
  program: string,
  args: readonly string[],
  { logFile, cwd }: ProgramOptions,
): ChildProcess {
  const log = openLog(logFile);
  // A process group of its own, so that Ctrl-C reaches its starter alone and that can end things in order.
  const child = spawn(program, args, {
    cwd,
    stdio: ['ignore', log, log],
    detached: process.platform !== 'win32',
  });
  closeSync(log);
  const endWithMe = () => child.kill('SIGKILL');
  process.once('exit', endWithMe);
  child.once('exit', () => process.off('exit', endWithMe));
  return child;
}

export function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

/** How long the system may take to stop what runs in a process. */
const STOPPED_MS = 2_000;

/** SIGSTOP, and back once no thread of it runs any more: until then it may answer. */
export function hold(child: ChildProcess): void {
  child.kill('SIGSTOP');
  for (const deadline = Date.now() + STOPPED_MS; !isHeld(child.pid) && Date.now() < deadline; );
}

function isHeld(pid: number | undefined): boolean {
  if (process.platform !== 'linux' || pid === undefined) return true;
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    return threads.every((thread) => stateOf(`/proc/${pid}/task/${thread}/stat`) === 'T');
  } catch {
    return true;
  }
}

/** `T` when it is stopped. The name in parentheses before it may hold anything. */
function stateOf(stat: string): string | undefined {
  return /\) ([A-Za-z])[^)]*$/.exec(readFileSync(stat, 'utf8'))?.[1];
}

/** Resolves with how a process ended, for people. */
export function endOf(child: ChildProcess): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  child.once('error', (error) => resolve(error.message));
  child.once('exit', (code, signal) => resolve(signal ? `killed by ${signal}` : `exit code ${code}`));
  return promise;
}

/** Ends a process in order, and by force when that takes longer. One that was held can't hear it, so it is released first. */
export async function endInOrder(
  child: ChildProcess,
  ended: Promise<string>,
  patienceMs: number,
): Promise<void> {
  if (isRunning(child)) {
    child.kill('SIGCONT');
    child.kill('SIGTERM');
  }
  const timer = setTimeout(() => child.kill('SIGKILL'), patienceMs);
  await ended;
  clearTimeout(timer);
}

const TROUBLE = /\b(ERROR|FATAL|Exception)\b/;

/** What a log says of a failure: the lines that `trouble` matches, or else its last ones. */
export function troubleIn(logFile: string, since = 0, trouble = TROUBLE): string {
  const lines = existsSync(logFile)
    ? readFileSync(logFile).subarray(since).toString('utf8').trimEnd().split('\n')
    : [];
  const errors = lines.filter((line) => trouble.test(line));
  return (errors.length > 0 ? errors : lines).slice(-8).join('\n');
}

export function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function openLog(path: string): number {
  if (sizeOf(path) > ROTATE_BYTES) renameSync(path, `${path}.1`);
  return openSync(path, 'a');
}
