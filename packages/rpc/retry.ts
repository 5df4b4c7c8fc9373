import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';

export type RetryOptions = {
  /** Tries in all; 1 for none again. */
  attempts: number;
  /** The first pause is up to this long, each next one up to twice the last, milliseconds. */
  baseMs: number;
  maxMs: number;
  /** Retries may be this part of all calls, so that a server that is down is not asked twice as much. */
  budget: number;
  /** Retries that may be saved up, so that a quiet client may retry at all. */
  reserve: number;
};

export const defaultRetry: RetryOptions = { attempts: 4, baseMs: 50, maxMs: 1_000, budget: 0.2, reserve: 10 };

/** One budget and one policy for all calls of a client. */
export class Retry {
  readonly #options: RetryOptions;
  #saved: number;

  constructor(options: Partial<RetryOptions> = {}) {
    this.#options = { ...defaultRetry, ...options };
    this.#saved = this.#options.reserve;
  }

  /**
   * Runs an idempotent call, again after UNAVAILABLE, with full jitter, until it is answered, tries or budget are used up
   * or the deadline would pass while waiting. Rejects with the last error.
   */
  async run<T>(deadlineAt: number, signal: AbortSignal | undefined, attempt: () => Promise<T>): Promise<T> {
    this.#saved = Math.min(this.#options.reserve, this.#saved + this.#options.budget);
    for (let tried = 1; ; tried += 1) {
      try {
        return await attempt();
      } catch (error) {
        const pauseMs =
          Math.random() * Math.min(this.#options.maxMs, this.#options.baseMs * 2 ** (tried - 1));
        const mayTry = isTransient(error) && tried < this.#options.attempts && this.#saved >= 1;
        if (!mayTry || signal?.aborted || Date.now() + pauseMs >= deadlineAt) throw error;
        this.#saved -= 1;
        await sleep(pauseMs, undefined, signal ? { signal } : {}).catch(() => {});
        if (signal?.aborted) throw error;
      }
    }
  }
}

function isTransient(error: unknown): boolean {
  return error instanceof ConnectError && error.code === Code.Unavailable;
}
