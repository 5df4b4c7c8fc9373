import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2';

/** Milliseconds that a caller may go on sending what nobody reads. */
const patienceMs = 1_000;

/**
 * Answers a call without a body. The stream is not reset while the caller still sends: some clients then forget the
 * answer that they have. What they send is dropped; who does not come to an end is cut off.
 */
export function refuseStream(stream: ServerHttp2Stream, headers: OutgoingHttpHeaders): void {
  stream.resume();
  stream.respond(headers, { endStream: true });
  if (stream.readableEnded) return;
  const timer = setTimeout(() => stream.close(constants.NGHTTP2_NO_ERROR), patienceMs);
  stream.once('close', () => clearTimeout(timer));
}
