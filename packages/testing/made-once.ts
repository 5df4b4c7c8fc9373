import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { delay } from '@tradewind/process/backoff';
import { takeLock } from './lock.ts';

const LOOK_MS = 200;
/** What a making that was killed left behind is nobody's after a day. */
const LEFTOVER_MS = 24 * 3_600_000;

export interface MadeOnce {
  /** In the cache; appears whole or not at all. */
  readonly folder: string;
  /** What it is made for: a file in there. */
  readonly holds: string;
  /** Fills a new folder that is to become that one. */
  readonly make: (made: string) => Promise<void>;
  /** Called once when another process makes it already. */
  readonly onWait?: (() => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Makes a folder of the cache unless it is there, and returns the path of what it holds. Several at once: one makes it, the others wait. Rejects
 * with what `make` rejects with, nothing left behind, and with the signal's reason.
 */
export async function madeOnce({ folder, holds, make, onWait, signal }: MadeOnce): Promise<string> {
  const wanted = join(folder, holds);
  await mkdir(dirname(folder), { recursive: true });
  for (let waits = false; ; waits = true) {
    using lock = takeLock(`${folder}.lock`);
    if (existsSync(wanted)) return wanted;
    if (lock) {
      await removeLeftovers(folder);
      await fill(folder, wanted, make);
      return wanted;
    }
    if (!waits) onWait?.();
    await delay(LOOK_MS, signal);
  }
}

async function fill(folder: string, wanted: string, make: MadeOnce['make']): Promise<void> {
  const made = await mkdtemp(`${folder}.new-`);
  try {
    await make(made);
    await rename(made, folder);
  } catch (error) {
    // A compiler may outlive whoever started it for a moment, and still write.
    await rm(made, { recursive: true, force: true, maxRetries: 5 });
    // Another one was quicker.
    if (!existsSync(wanted)) throw error;
  }
}

async function removeLeftovers(folder: string): Promise<void> {
  const parent = dirname(folder);
  for (const name of await readdir(parent)) {
    if (!name.startsWith(`${basename(folder)}.new-`)) continue;
    const { mtimeMs } = await stat(join(parent, name));
    if (Date.now() - mtimeMs > LEFTOVER_MS) await rm(join(parent, name), { recursive: true, force: true });
  }
}
