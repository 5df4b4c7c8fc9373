import type { Logger } from '@tradewind/telemetry/logger';
import { type Backoff, delay, fullJitter } from './backoff.ts';

/** One thing that is being waited for. */
export interface Wait {
  readonly name: string;
  readonly since: Date;
  readonly attempts: number;
  /** What the last probe said. */
  readonly reason: string;
}

/** What a process waits for right now; /health/ready names it. */
export class Waits {
  readonly #pending = new Map<symbol, Wait>();

  /** Empty when nothing is waited for. */
  pending(): readonly Wait[] {
    return [...this.#pending.values()];
  }

  set(key: symbol, wait: Wait): void {
    this.#pending.set(key, wait);
  }

  delete(key: symbol): void {
    this.#pending.delete(key);
  }
}

export interface WaitOptions {
  /** What people call it: `database`, `event log`, `schema`. */
  readonly name: string;
  /** Resolves when it is there, rejects with why not. */
  readonly probe: (signal: AbortSignal) => Promise<unknown>;
  readonly signal: AbortSignal;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
  readonly waits?: Waits;
  /** 100 ms doubling to 2 s when left out. */
  readonly backoff?: Backoff;
  /** A probe that has not answered by then has failed; 5 s when left out. */
  readonly probeTimeoutMs?: number;
  /** The least time between two lines of the log; 10 s when left out. */
  readonly logEveryMs?: number;
}

const BACKOFF: Backoff = { baseMs: 100, capMs: 2_000 };

/** Resolves when `probe` does, trying again with backoff for as long as it takes. Rejects with the signal's reason when that is aborted. */
export async function waitFor(options: WaitOptions): Promise<void> {
  const {
    name,
    probe,
    signal,
    logger,
    waits,
    backoff = BACKOFF,
    probeTimeoutMs = 5_000,
    logEveryMs = 10_000,
  } = options;
  const key = Symbol(name);
  const since = new Date();
  let lastLogged = Number.NEGATIVE_INFINITY;
  // Named from the first moment on: a probe that hangs is waited for as well.
  waits?.set(key, { name, since, attempts: 0, reason: 'not tried yet' });
  try {
    for (let attempts = 1; ; attempts++) {
      signal.throwIfAborted();
      const failure = await failureOf(probe, signal, probeTimeoutMs);
      if (failure === undefined) {
        if (attempts > 1)
          logger.info({ dependency: name, attempts, ms: Date.now() - since.getTime() }, `${name} is there`);
        return;
      }
      signal.throwIfAborted();
      waits?.set(key, { name, since, attempts, reason: failure });
      if (Date.now() - lastLogged >= logEveryMs) {
        lastLogged = Date.now();
        logger.warn({ dependency: name, attempts, reason: failure }, `waiting for ${name}`);
      }
      await delay(fullJitter(attempts - 1, backoff), signal);
    }
  } finally {
    waits?.delete(key);
  }
}

/** Why the probe failed, or undefined when it did not. */
async function failureOf(
  probe: WaitOptions['probe'],
  outer: AbortSignal,
  timeoutMs: number,
): Promise<string | undefined> {
  const timeout = new AbortController();
  const signal = AbortSignal.any([outer, timeout.signal]);
  const { promise: gaveUp, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const timer = setTimeout(() => timeout.abort(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  try {
    // Raced, for not every driver listens to a signal.
    await Promise.race([probe(signal), gaveUp]);
    return undefined;
  } catch (error) {
    return reasonOf(error);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}

/** An error in one line; several addresses tried in vain come as an AggregateError without a message. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0)
    return [...new Set(error.errors.map(reasonOf))].join('; ');
  if (!(error instanceof Error)) return String(error);
  return error.message || ('code' in error && String(error.code)) || error.name;
}
