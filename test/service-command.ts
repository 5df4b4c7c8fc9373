import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createDatabase } from '@tradewind/testing/postgres';

export const root = fileURLToPath(new URL('..', import.meta.url));
export const orderMain = join(root, 'services/order/main.ts');

export interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** A folder to run services' commands in, and databases for them; all ends with it. */
export class Commands implements AsyncDisposable {
  readonly folder: string;
  readonly #scope = new AsyncDisposableStack();

  static async open(): Promise<Commands> {
    return new Commands(await mkdtemp(join(tmpdir(), 'tradewind-commands-')));
  }

  private constructor(folder: string) {
    this.folder = folder;
    this.#scope.defer(() => rm(folder, { recursive: true, force: true }));
  }

  /** A service's command as a person runs it, with nothing of this run's environment but what a shell has. */
  start(
    main: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
    cwd = this.folder,
  ): { readonly child: ChildProcess; output(): string; readonly ended: Promise<Ended> } {
    const { PATH = '', HOME = '' } = process.env;
    const cache = { NODE_COMPILE_CACHE: join(tmpdir(), 'tradewind-test-compile-cache') };
    const child = spawn(process.execPath, [main, ...args], {
      cwd,
      env: { PATH, HOME, ...cache, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#scope.defer(() => void child.kill('SIGKILL'));
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        output += chunk;
      });
    }
    const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, output }));
    return { child, output: () => output, ended };
  }

  /** The same, to its end. */
  run(...command: Parameters<Commands['start']>): Promise<Ended> {
    return this.start(...command).ended;
  }

  /** An empty database for a service, and one for its log. */
  async addresses(): Promise<{ readonly DATABASE_URL: string; readonly EVENT_LOG_URL: string }> {
    const [database, log] = await Promise.all([createDatabase('commands'), createDatabase('log')]);
    return { DATABASE_URL: this.#scope.use(database).url, EVENT_LOG_URL: this.#scope.use(log).url };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.disposeAsync();
  }
}
