import { chmodSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * A temporary folder in which everything of a run lives, other temporary folders included. Disposing it ends every PostgreSQL that still runs
 * in it, whoever started that, and removes it.
 */
export class Scratch implements AsyncDisposable {
  readonly root: string;

  constructor() {
    this.root = mkdtempSync(join(tmpdir(), 'tradewind-bench-'));
    // PostgreSQL may run as another user.
    chmodSync(this.root, 0o755);
    process.env.TMPDIR = this.root;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const servers = globSync('**/postmaster.pid', { cwd: this.root }).map((path) =>
      Number(readFileSync(join(this.root, path), 'utf8').split('\n')[0]),
    );
    for (const pid of servers) signal(pid, 'SIGQUIT');
    while (servers.some((pid) => signal(pid, 0))) await sleep(20);
    rmSync(this.root, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}

function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}
