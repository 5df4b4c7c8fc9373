/** What one caller may cost. Milliseconds and bytes. */
export type Limits = {
  /** Largest request, on every face. */
  bodyBytes: number;
  /** A new connection must have said enough to know its protocol. */
  peekMs: number;
  /** HTTP/1.1 headers must have come. */
  headersMs: number;
  /** A whole HTTP/1.1 request must have come. */
  requestMs: number;
  /** An HTTP/1.1 connection may rest between requests; longer than load balancers keep theirs. */
  keepAliveMs: number;
  /** A unary call whose caller says no deadline. */
  deadlineMs: number;
  /** HTTP/2 streams at a time on one connection. */
  streamsPerConnection: number;
  /** HTTP/2 pings, so that a connection whose other end is gone is noticed. */
  pingIntervalMs: number;
  pingTimeoutMs: number;
  /** While draining: still answering everybody, as not ready, so that balancers notice. */
  drainDelayMs: number;
  /** While draining: between the first GOAWAY and refusing new streams. */
  goawayMs: number;
  /** While draining: what is in flight may take so long. */
  drainMs: number;
};

export const defaultLimits: Limits = {
  bodyBytes: 1024 * 1024,
  peekMs: 10_000,
  headersMs: 10_000,
  requestMs: 30_000,
  keepAliveMs: 65_000,
  deadlineMs: 15_000,
  streamsPerConnection: 1_000,
  pingIntervalMs: 30_000,
  pingTimeoutMs: 10_000,
  drainDelayMs: 500,
  goawayMs: 100,
  drainMs: 7_000,
};
