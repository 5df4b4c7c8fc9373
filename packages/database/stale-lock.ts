import { readdir, readFile, readlink, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** After its first process died, a server's others notice and end, mostly at once. */
const PATIENCE_MS = 20_000;

/**
 * Removes the lock that a killed PostgreSQL left in its data folder, once no process of that server lives any more. PostgreSQL does so by
 * itself unless the number in the lock is taken: by a stranger, as in a container that was started again, or by the dead one itself
 * as long as nobody has asked for its exit code. Where processes can't be looked at (not Linux), nothing is done.
 */
export async function dropStaleLock(dataDir: string): Promise<void> {
  const lock = join(dataDir, 'postmaster.pid');
  const text = await readFile(lock, 'utf8').catch(() => undefined);
  if (text === undefined || process.platform !== 'linux') return;
  const first = Number(text.split('\n')[0]);
  for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; await sleep(50)) {
    const alive = await serversIn(await realpath(dataDir));
    // It runs: PostgreSQL itself will say so.
    if (alive.includes(first)) return;
    if (alive.length === 0) return await rm(lock, { force: true });
  }
}

/** The PostgreSQL processes that work in a folder. One that has ended, and waits for somebody to ask how, does not work. */
async function serversIn(folder: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
      if (!/^\d+ \(postgres\) [^ZX]/.test(stat)) return [];
      // Another user's may not be looked at; then it may be the one.
      const cwd = await readlink(`/proc/${pid}/cwd`).catch(({ code }) => (code === 'EACCES' ? folder : ''));
      return cwd === folder ? [Number(pid)] : [];
    }),
  );
  return found.flat();
}
