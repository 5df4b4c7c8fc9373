import { randomUUID } from 'node:crypto';
import { readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';

/** Who holds a lock says so by its file's time, which any process can read, whatever container it is in. */
const SIGN_MS = 2_000;
const LOST_MS = 30_000;

/**
 * Takes a lock file, or returns undefined while another one holds it. One whose holder has given no sign for 30 s is taken over. So two
 * may hold it after a pause of the whole machine: use it to save work, not for what must be right.
 */
export function takeLock(path: string): Disposable | undefined {
  const mine = randomUUID();
  if (!create(path, mine)) {
    const since = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
    if (since !== undefined && Date.now() - since < LOST_MS) return undefined;
    rmSync(path, { force: true });
    if (!create(path, mine)) return undefined;
  }
  const isMine = () => read(path) === mine;
  const signs = setInterval(() => isMine() && utimesSync(path, new Date(), new Date()), SIGN_MS).unref();
  return {
    [Symbol.dispose]() {
      clearInterval(signs);
      if (isMine()) rmSync(path, { force: true });
    },
  };
}

function create(path: string, content: string): boolean {
  try {
    writeFileSync(path, content, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
