import { delay } from '@tradewind/process/backoff';
import { isAlive, type ProcessIdentity, signalProcess } from './identity.ts';
import type { RecordedProcess, StateFile } from './state.ts';

/** The name under which the embedded PostgreSQL is recorded; it ends after those who use it. */
export const POSTGRES = 'postgres';

const POLL_MS = 25;

/**
 * Ends what a starter left behind that was killed: services first, PostgreSQL last, each asked before it is made to. Only the very
 * processes that it recorded are touched.
 */
export async function endOrphans(
  orphans: readonly RecordedProcess[],
  file: StateFile,
  say: (line: string) => void,
): Promise<void> {
  const alive = orphans.filter(isAlive);
  if (alive.length > 0) {
    const names = alive.map(({ name, pid }) => `${name} (pid ${pid})`);
    say(`an earlier start was killed; ending what it left: ${names.join(', ')}`);
  }
  const services = alive.filter(({ name }) => name !== POSTGRES);
  const servers = alive.filter(({ name }) => name === POSTGRES);
  await Promise.all(
    services.map((orphan) =>
      end(orphan, [
        ['SIGTERM', 5_000],
        ['SIGKILL', 5_000],
      ]),
    ),
  );
  // Fast shutdown, then immediate; never SIGKILL first, which would leave its shared memory behind.
  await Promise.all(
    servers.map((orphan) =>
      end(orphan, [
        ['SIGINT', 10_000],
        ['SIGQUIT', 5_000],
        ['SIGKILL', 5_000],
      ]),
    ),
  );
  file.forget(orphans);
}

async function end(
  orphan: RecordedProcess,
  steps: readonly (readonly [NodeJS.Signals, number])[],
): Promise<void> {
  for (const [signal, patienceMs] of steps) {
    signalProcess(orphan, signal);
    if (await gone(orphan, patienceMs)) return;
  }
  throw new Error(`${orphan.name} (pid ${orphan.pid}), left by an earlier start, does not end`);
}

async function gone(identity: ProcessIdentity, patienceMs: number): Promise<boolean> {
  for (const deadline = Date.now() + patienceMs; isAlive(identity); ) {
    if (Date.now() >= deadline) return false;
    await delay(POLL_MS);
  }
  return true;
}
