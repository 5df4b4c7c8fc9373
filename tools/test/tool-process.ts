import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

/** What a command came to. */
export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** A command that runs. */
export interface ToolProcess extends AsyncDisposable {
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>;
  /** What it has written to standard output so far. */
  out(): string;
  err(): string;
  /** Asks it to end as Ctrl-C does. */
  interrupt(): void;
  readonly ended: Promise<Ended>;
}

export type Environment = Readonly<Record<string, string>>;

/** Starts `node tools/<name>.ts` as npm would, with nothing of this run's environment but what a shell has. */
export function startTool(name: string, args: readonly string[], env: Environment): ToolProcess {
  const path = fileURLToPath(new URL(`../${name}.ts`, import.meta.url));
  const { PATH = '', HOME = '' } = process.env;
  // Most of what a command costs is to read its own modules.
  const shell = { PATH, HOME, NODE_COMPILE_CACHE: join(tmpdir(), 'tradewind-test-compile-cache') };
  const child = spawn(process.execPath, [path, ...args], { env: { ...shell, ...env }, stdio: 'pipe' });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, out, err }));
  return {
    child,
    out: () => out,
    err: () => err,
    interrupt: () => void child.kill('SIGINT'),
    ended,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Runs a command to its end. @param input what it reads from standard input */
export async function runTool(
  name: string,
  args: readonly string[],
  env: Environment,
  input = '',
): Promise<Ended> {
  await using tool = startTool(name, args, env);
  tool.child.stdin.end(input);
  return await tool.ended;
}
