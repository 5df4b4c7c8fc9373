import { setTimeout as sleep } from 'node:timers/promises';

export interface Backoff {
  /** Upper bound of the first wait. */
  readonly baseMs: number;
  /** Upper bound of any wait. */
  readonly capMs: number;
  /** From 0 up to 1; Math.random when left out. */
  readonly random?: () => number;
}

/**
 * How long to wait before trying again, in milliseconds: anything from 0 to `min(capMs, baseMs · 2^attempt)`, so that those who failed
 * together do not come back together.
 * @param attempt failures so far, from 0
 */
export function fullJitter(attempt: number, { baseMs, capMs, random = Math.random }: Backoff): number {
  return random() * Math.min(capMs, baseMs * 2 ** Math.min(attempt, 50));
}

/** Waits `ms` milliseconds. Rejects with the signal's reason as soon as it is aborted. */
export async function delay(ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  try {
    await sleep(ms, undefined, signal ? { signal } : {});
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}
