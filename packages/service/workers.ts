import { delay, fullJitter } from '@tradewind/process/backoff';
import type { Parts } from '@tradewind/process/together';
import type { Logger } from '@tradewind/telemetry/logger';

/** Work of a service's own that goes on beside its listening until the signal aborts. */
export type Worker<Deps> = (deps: Deps, signal: AbortSignal) => Promise<void>;

/** A worker that went on for so long without failing begins again with short waits. */
const SOUND_MS = 60_000;

/** Workers as parts of a process: one that fails is logged and starts again, with backoff, and stops nobody else. */
export function workerParts<Deps>(
  workers: Readonly<Record<string, Worker<Deps>>>,
  deps: Deps,
  logger: Logger,
): Parts {
  return Object.fromEntries(
    Object.entries(workers).map(([name, work]) => [
      name,
      (signal: AbortSignal) => keepWorking(name, (signal) => work(deps, signal), logger, signal),
    ]),
  );
}

async function keepWorking(
  name: string,
  work: (signal: AbortSignal) => Promise<void>,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  for (let failures = 0; !signal.aborted; ) {
    const began = performance.now();
    try {
      await work(signal);
      if (!signal.aborted) throw new Error(`${name} ended though nobody asked it to`);
    } catch (error) {
      if (signal.aborted) return;
      if (performance.now() - began > SOUND_MS) failures = 0;
      logger.warn({ err: error, worker: name, failures }, 'a worker failed; it starts again');
      await delay(fullJitter(failures++, { baseMs: 100, capMs: 10_000 }), signal).catch(() => undefined);
    }
  }
}
