import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** From 1.21 on, Go gets by itself the newer Go that a module asks for. */
const OLDEST = 21;

/** Rejects with what to do when there is no Go on the PATH, or one that is too old. */
export async function checkGo(what: string, env: NodeJS.ProcessEnv): Promise<void> {
  const remedy = 'install one (https://go.dev/dl; macOS: brew install go)';
  let said: string;
  try {
    said = (await run('go', ['version'], { env })).stdout;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'none is on the PATH' : 'the one on the PATH does not run';
    throw new Error(`${what} needs Go 1.${OLDEST} or newer, and ${why}: ${remedy}`, { cause: error });
  }
  const [, version = said.trim(), major, minor] = /\bgo((\d+)\.(\d+)\S*)/.exec(said) ?? [];
  if (Number(major) === 1 && Number(minor) < OLDEST)
    throw new Error(
      `${what} needs Go 1.${OLDEST} or newer, and the one on the PATH is ${version}: ${remedy}`,
    );
}

export interface GoOptions {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal | undefined;
  /** Lines on standard error that this takes for itself are not kept for the failure's message. */
  readonly takes?: (line: string) => boolean;
}

/**
 * Runs `go` until it ends and returns what it wrote. It gives way to whatever else runs on this machine. Rejects with the end of what it
 * said when it fails, and with the signal's reason when that aborts, always after its process is gone.
 */
export async function runGo(args: readonly string[], options: GoOptions): Promise<string> {
  const { cwd, env, signal, takes = () => false } = options;
  signal?.throwIfAborted();
  // By the program and not by its process id: on Linux a priority belongs to a thread, and Go has several before anybody can name one.
  const [program, ...before] = process.platform === 'win32' ? ['go'] : ['nice', '-n', '15', 'go'];
  const child = spawn(program as string, [...before, ...args], {
    cwd,
    env: { ...env, GOWORK: 'off' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  const stop = () => child.kill('SIGINT');
  const force = () => child.kill('SIGKILL');
  signal?.addEventListener('abort', stop, { once: true });
  process.once('exit', force);
  let written = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    written += chunk;
  });
  const kept: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (line.trim() && !takes(line)) kept.push(line);
  });
  try {
    const [code, killedBy] = await closed;
    signal?.throwIfAborted();
    if (code === 0) return written;
    const how = killedBy ? `killed by ${killedBy}` : `exit code ${code}`;
    const why = kept.slice(-8).join('\n') || written.trim();
    throw new Error(`go ${args[0]} failed (${how})${why && `:\n${why}`}`);
  } finally {
    signal?.removeEventListener('abort', stop);
    process.off('exit', force);
  }
}
