import type { UniversalServerResponse } from '@connectrpc/connect/protocol';

/** Bytes of the head of an envelope: flags and the payload's length. */
const headBytes = 5;

/**
 * Connect takes protobuf that can't be decoded for a fault of the server. An answer of a call that never reached its
 * handler is made to blame the request instead: INVALID_ARGUMENT for INTERNAL. Other answers stay as they are.
 */
export async function blameRequest(answered: UniversalServerResponse): Promise<UniversalServerResponse> {
  if (answered.body === undefined || answered.body === null) return answered;
  const chunks: Uint8Array[] = [];
  for await (const chunk of answered.body) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const enveloped = answered.status === 200;
  const payload = (enveloped ? body.subarray(headBytes) : body).toString();
  const blamed = payload
    .replace('"code":"internal"', '"code":"invalid_argument"')
    .replace('"message":"internal error"', '"message":"the request is not decodable"')
    .replace(/grpc-status: 13\b/, 'grpc-status: 3');
  if (blamed === payload) return { ...answered, body: once(body) };

  const bytes = Buffer.from(blamed);
  const header = new Headers(answered.header);
  if (!enveloped) {
    header.set('content-length', String(bytes.byteLength));
    return { ...answered, status: 400, header, body: once(bytes) };
  }
  const head = Buffer.alloc(headBytes);
  head.writeUInt8(body[0] ?? 0, 0);
  head.writeUInt32BE(bytes.byteLength, 1);
  return { ...answered, header, body: once(Buffer.concat([head, bytes])) };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
