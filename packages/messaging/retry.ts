/** How long a failing event is tried again. */
export interface RetryPolicy {
  /** Attempts at most, the first included; 6 when left out. */
  readonly attempts?: number;
  /** Bound of the first wait in milliseconds, doubled each time, with full jitter; 200 when left out. */
  readonly baseMs?: number;
  /** Bound of every wait; 10,000 when left out. */
  readonly capMs?: number;
}

/** The policy with what was left out. */
export function retryOf({ attempts = 6, baseMs = 200, capMs = 10_000 }: RetryPolicy): Required<RetryPolicy> {
  return { attempts, baseMs, capMs };
}
