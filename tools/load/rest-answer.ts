import type { IncomingHttpHeaders } from 'node:http';
import { Code, ConnectError } from '@connectrpc/connect';

const codes = new Map([
  [404, Code.NotFound],
  [408, Code.DeadlineExceeded],
  [409, Code.AlreadyExists],
  [425, Code.Unavailable],
  [429, Code.ResourceExhausted],
  [500, Code.Internal],
  [499, Code.Canceled],
  [501, Code.Unimplemented],
]);

/** An answer that is not what was hoped for; its code says whether to try again. */
export function failureOf(status: number, headers: IncomingHttpHeaders, text: string): ConnectError {
  const code = codes.get(status) ?? (status >= 500 ? Code.Unavailable : Code.FailedPrecondition);
  const retryAfter = headers['retry-after'];
  const metadata = typeof retryAfter === 'string' ? { 'retry-after': retryAfter } : {};
  return new ConnectError(`HTTP ${status}: ${text.slice(0, 300)}`, code, metadata);
}

/** Undefined for what is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
