/** What a failed statement or connection means for whoever wants to try again. */
export type FailureKind =
  /** Deadlock, serialization failure, lock timeout: the same transaction may succeed at once. */
  | 'conflict'
  /** The server is away, ending, starting or out of connections: it has to be waited for. */
  | 'away'
  /** Anything else. */
  | 'other';

const CONFLICT = new Set(['40001', '40P01', '55P03']);
/** Ending, crashed, starting; full, out of memory, failing to read; a standby, or read-only while it changes roles; idle sessions that were ended. */
const AWAY = new Set([
  ...['57P01', '57P02', '57P03', '57P05', '25P03', '25P04', '53100', '53200', '53300', '58030', '25006'],
  ...['08000', '08001', '08003', '08004', '08006', '08007'],
]);
const SOCKET = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'EAI_AGAIN',
  'ENETUNREACH',
]);
const SAID =
  /query read timeout|connection terminated|timeout exceeded when trying to connect|client has encountered a connection error|not queryable|server closed the connection|not currently accepting connections|Cannot use a pool after/i;

/**
 * Reads a failure's kind from SQLSTATE (https://www.postgresql.org/docs/18/errcodes-appendix.html), the socket's error code, or
 * node-pg's own words where it gives neither. Causes are looked at as well, for the ORM wraps errors.
 */
export function failureKind(error: unknown): FailureKind {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause ?? previous(at), depth++) {
    const code = 'code' in at && typeof at.code === 'string' ? at.code : '';
    if (CONFLICT.has(code)) return 'conflict';
    if (AWAY.has(code) || SOCKET.has(code) || SAID.test(at.message)) return 'away';
    if (at instanceof AggregateError && at.errors.some((inner) => failureKind(inner) === 'away'))
      return 'away';
  }
  return 'other';
}

/** MikroORM keeps the driver's error here. */
function previous(error: Error): unknown {
  return 'previous' in error ? error.previous : undefined;
}
