import { Code, ConnectError } from '@connectrpc/connect';
import { delay, fullJitter } from '@tradewind/process/backoff';

export interface Patience {
  readonly signal?: AbortSignal | undefined;
  /** How long a call is tried again, from its first attempt. */
  readonly patienceMs: number;
  /** Told of each attempt that is going to be repeated. */
  readonly onRetry?: ((error: ConnectError) => void) | undefined;
}

/** After these it is unknown, or certain, that nothing was done: with the same key it is safe to ask again. */
const transient: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.Aborted,
  Code.DeadlineExceeded,
  Code.ResourceExhausted,
  // What a server that dies in the middle of a call looks like, depending on the protocol.
  Code.Canceled,
  Code.Internal,
  Code.Unknown,
]);

export const isTransient = (error: ConnectError): boolean => transient.has(error.code);

const backoff = { baseMs: 20, capMs: 1_000 };

/**
 * Calls `attempt` until it answers. Errors that may pass are tried again after a while with full jitter, or after what `retry-after`
 * (seconds, at most 5) says.
 * @throws ConnectError that will not pass, or the last one when patience is over; the signal's reason when it is aborted
 */
export async function untilAnswered<T>(attempt: () => Promise<T>, patience: Patience): Promise<T> {
  const since = performance.now();
  for (let failures = 0; ; failures += 1) {
    try {
      return await attempt();
    } catch (raw) {
      patience.signal?.throwIfAborted();
      const error = ConnectError.from(raw);
      if (!isTransient(error) || performance.now() - since > patience.patienceMs) throw error;
      patience.onRetry?.(error);
      await delay(Math.max(fullJitter(failures, backoff), retryAfterMs(error)), patience.signal);
    }
  }
}

function retryAfterMs(error: ConnectError): number {
  const seconds = Number(error.metadata.get('retry-after') ?? 0);
  return seconds > 0 ? Math.min(seconds, 5) * 1_000 * (1 + Math.random() / 4) : 0;
}
