import type { ServerHttp2Stream } from 'node:http2';
import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import { Code, ConnectError } from '@connectrpc/connect';

const headBytes = 5;

/**
 * Reads the one message of a unary call's request, decompressed. `encoding` is the call's grpc-encoding. Rejects with
 * INVALID_ARGUMENT when there is not exactly one, RESOURCE_EXHAUSTED when it is larger than `maxBytes`.
 */
export function readRequest(
  stream: ServerHttp2Stream,
  encoding: string | string[] | undefined,
  maxBytes: number,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let body: Buffer | undefined;
    let more: Buffer[] | undefined;
    let length = 0;
    stream.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > maxBytes + headBytes) {
        stream.removeAllListeners('data').resume();
        reject(tooLarge(maxBytes));
      } else if (body === undefined) {
        // Nearly every request is one chunk.
        body = chunk;
      } else {
        more ??= [body];
        more.push(chunk);
      }
    });
    stream.on('end', () => {
      const bytes = more === undefined ? body : Buffer.concat(more, length);
      try {
        resolve(messageOf(bytes, encoding, maxBytes));
      } catch (error) {
        reject(error);
      }
    });
  });
}

function messageOf(
  bytes: Buffer | undefined,
  encoding: string | string[] | undefined,
  maxBytes: number,
): Buffer | Promise<Buffer> {
  if (bytes === undefined || bytes.length < headBytes) throw invalid('the request is missing');
  const end = headBytes + bytes.readUInt32BE(1);
  if (end > bytes.length) throw invalid('the request is cut off');
  if (end < bytes.length) throw invalid('there must be one request');
  const message = bytes.subarray(headBytes);
  switch (bytes[0]) {
    case 0:
      return message;
    case 1:
      return decompress(message, encoding, maxBytes);
    default:
      throw invalid('the request is no gRPC message');
  }
}

const decompressors = { gzip: promisify(gunzip), deflate: promisify(inflate) };

async function decompress(
  message: Buffer,
  encoding: string | string[] | undefined,
  maxBytes: number,
): Promise<Buffer> {
  if (encoding !== 'gzip' && encoding !== 'deflate') {
    throw new ConnectError(`unknown compression ${encoding}`, Code.Unimplemented);
  }
  try {
    return (await decompressors[encoding](message, { maxOutputLength: maxBytes })) as Buffer;
  } catch (error) {
    const { code } = error as { code?: string };
    throw code === 'ERR_BUFFER_TOO_LARGE' ? tooLarge(maxBytes) : invalid('the request does not decompress');
  }
}

function invalid(message: string): ConnectError {
  return new ConnectError(message, Code.InvalidArgument);
}

function tooLarge(maxBytes: number): ConnectError {
  return new ConnectError(`the request is larger than ${maxBytes} bytes`, Code.ResourceExhausted);
}
