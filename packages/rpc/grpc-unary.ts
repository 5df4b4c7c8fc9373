import { validateHeaderValue } from 'node:http';
import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { ActiveCall } from './call.ts';
import { refuseStream } from './grpc-refuse.ts';
import { readRequest } from './grpc-request.ts';
import { statusHeaders } from './grpc-status.ts';
import type { Limits } from './limits.ts';
import type { Pipeline } from './pipeline.ts';
import type { Encode, Route } from './route.ts';

// grpc-js's way through a unary call costs as much again as the HTTP/2 below it, so unary calls don't take it.

export type UnaryRequest = {
  stream: ServerHttp2Stream;
  headers: IncomingHttpHeaders;
  peer: string;
  /** Milliseconds, as the caller says it. */
  timeoutMs: number | undefined;
};

/** Answers one unary call of the gRPC face. */
export function answerUnary(pipeline: Pipeline, limits: Limits, route: Route, request: UnaryRequest): void {
  const { stream, headers } = request;
  const call = new UnaryCall(request);
  // 'close' follows.
  stream.on('error', nothing);
  stream.on('close', () => call.leave());
  call.limit(request.timeoutMs ?? limits.deadlineMs);
  const { input } = route.method;
  call
    .race(readRequest(stream, headers['grpc-encoding'], limits.bodyBytes))
    .then(
      (body) => pipeline.unary(route, () => fromBinary(input, body), encodeFrame, call),
      (error: unknown) => Promise.reject(pipeline.failed(route, call, error)),
    )
    .then(
      (frame) => call.answer(frame),
      (error: ConnectError) => call.refuse(error),
    );
}

const nothing = (): void => {};

/** A response behind the head of its frame: no compression, and its length. */
const encodeFrame: Encode<Buffer> = (response, route) => {
  const bytes = toBinary(route.method.output, response);
  const frame = Buffer.allocUnsafe(5 + bytes.byteLength);
  frame.writeUInt8(0, 0);
  frame.writeUInt32BE(bytes.byteLength, 1);
  frame.set(bytes, 5);
  return frame;
};

const ok = { 'grpc-status': '0' };

class UnaryCall extends ActiveCall {
  readonly #stream: ServerHttp2Stream;
  readonly #received: IncomingHttpHeaders;
  readonly #headers: OutgoingHttpHeaders;

  constructor({ stream, headers, peer }: UnaryRequest) {
    super('grpc', peer, headers['x-request-id'] as string | undefined);
    this.#stream = stream;
    this.#received = headers;
    this.#headers = {
      ':status': 200,
      'content-type': 'application/grpc+proto',
      'x-request-id': this.requestId,
    };
  }

  header(name: string): string | undefined {
    const value = this.#received[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  setHeader(name: string, value: string): void {
    validateHeaderValue(name, value);
    this.#headers[name.toLowerCase()] = value;
  }

  /** The stream is closed: after an answer, or because the caller is gone. */
  leave(): void {
    if (this.finished) return;
    if (this.timeoutMs() === 0) this.expire();
    else this.abort(new ConnectError('canceled by the caller', Code.Canceled));
  }

  answer(frame: Buffer): void {
    const stream = this.#stream;
    if (stream.closed || stream.destroyed) return;
    stream.on('wantTrailers', () => stream.sendTrailers(ok));
    stream.respond(this.#headers, { waitForTrailers: true });
    stream.end(frame);
  }

  refuse(error: ConnectError): void {
    const stream = this.#stream;
    if (stream.closed || stream.destroyed) return;
    refuseStream(stream, { ...this.#headers, ...statusHeaders(error) });
  }
}
