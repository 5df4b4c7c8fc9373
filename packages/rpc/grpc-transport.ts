import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel as Idempotency } from '@bufbuild/protobuf/wkt';
import {
  Code,
  ConnectError,
  type StreamResponse,
  type Transport,
  type UnaryResponse,
} from '@connectrpc/connect';
import {
  type CallOptions,
  type Client,
  type ClientDuplexStream,
  connectivityState,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import type { Span } from '@tradewind/telemetry/span';
import { clientSpan, endCall } from './call-span.ts';
import type { MeasureCall } from './client-metrics.ts';
import { errorOf } from './grpc-status.ts';
import type { Retry } from './retry.ts';

export type Patience = {
  /** Milliseconds for a unary call that does not say. */
  timeoutMs: number;
  /** Of them, for a connection. */
  waitMs: number;
};

/**
 * Connect's transport over grpc-js, which costs a fifth of Connect's own over HTTP/2 and takes a restarting server's
 * GOAWAY well: calls that the server has not seen go to the next connection by themselves.
 */
export function grpcTransport(
  channel: Client,
  retry: Retry,
  defaults: Patience,
  measure?: MeasureCall,
): Transport {
  return {
    unary: (method, signal, timeoutMs = defaults.timeoutMs, header, input) => {
      const deadline = Date.now() + timeoutMs;
      const waitUntil = Date.now() + Math.min(defaults.waitMs, timeoutMs * 0.8);
      const headers = new Headers(header);
      const span = clientSpan(method, headers);
      const request = encode(method.input, input);
      const send = () => unary(channel, method, request, metadataOf(headers), deadline, signal);
      const attempt = () =>
        isConnected(channel) ? send() : connected(channel, waitUntil, signal).then(send);
      const again =
        method.idempotency === Idempotency.NO_SIDE_EFFECTS ||
        method.idempotency === Idempotency.IDEMPOTENT ||
        headers.has('idempotency-key');
      const answer = ended(span, again ? retry.run(deadline, signal, attempt) : attempt());
      return measure ? measure(method, answer) : answer;
    },
    stream: async (method, signal, timeoutMs, header, input) => {
      const deadline = timeoutMs === undefined ? undefined : Date.now() + timeoutMs;
      const headers = new Headers(header);
      const span = clientSpan(method, headers);
      // A stream may last for ever: its span is the opening of it.
      span?.end();
      return stream(channel, method, input, metadataOf(headers), deadline, signal);
    },
  };
}

/** Ends a call's span with the call. */
async function ended<T>(span: Span | undefined, call: Promise<T>): Promise<T> {
  try {
    const answer = await call;
    if (span) endCall(span, 0);
    return answer;
  } catch (error) {
    if (span) endCall(span, error instanceof ConnectError ? error.code : Code.Unknown);
    throw error;
  }
}

function isConnected(channel: Client): boolean {
  return channel.getChannel().getConnectivityState(true) === connectivityState.READY;
}

/** Resolves when there is a connection, or it is time to go on without, which tells why there is none. */
function connected(channel: Client, until: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      signal?.removeEventListener('abort', go);
      resolve();
    };
    signal?.addEventListener('abort', go, { once: true });
    channel.waitForReady(until, go);
  });
}

function unary<I extends DescMessage, O extends DescMessage>(
  channel: Client,
  method: DescMethodUnary<I, O>,
  request: Buffer,
  metadata: Metadata,
  deadline: number,
  signal: AbortSignal | undefined,
): Promise<UnaryResponse<I, O>> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(reasonOf(signal));
      return;
    }
    const header = new Headers();
    const call = channel.makeUnaryRequest(
      pathOf(method),
      asIs,
      asIs,
      request,
      metadata,
      { deadline },
      (error, response) => {
        signal?.removeEventListener('abort', cancel);
        if (error || response === undefined) {
          reject(signal?.aborted ? reasonOf(signal) : errorOf(error as ServiceError));
          return;
        }
        try {
          const message = fromBinary(method.output, response);
          resolve({ stream: false, service: method.parent, method, header, trailer, message });
        } catch (cause) {
          reject(new ConnectError('the answer is not decodable', Code.Internal, undefined, undefined, cause));
        }
      },
    );
    const trailer = new Headers();
    const cancel = () => call.cancel();
    signal?.addEventListener('abort', cancel, { once: true });
    call.on('metadata', (received) => copy(received, header));
    call.on('status', (status) => copy(status.metadata, trailer));
  });
}

function stream<I extends DescMessage, O extends DescMessage>(
  channel: Client,
  method: DescMethodStreaming<I, O>,
  input: AsyncIterable<MessageInitShape<I>>,
  metadata: Metadata,
  deadline: number | undefined,
  signal: AbortSignal | undefined,
): StreamResponse<I, O> {
  signal?.throwIfAborted();
  const options: CallOptions = deadline === undefined ? {} : { deadline };
  const call = channel.makeBidiStreamRequest(pathOf(method), asIs, asIs, metadata, options);
  const header = new Headers();
  const trailer = new Headers();
  const cancel = () => call.cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  // The status says the same; without a listener an error that nobody reads would end the process.
  call.on('error', () => {});
  call.on('metadata', (received) => copy(received, header));
  call.on('status', (status) => {
    copy(status.metadata, trailer);
    signal?.removeEventListener('abort', cancel);
  });
  // What goes wrong while sending is told by the status.
  send(call, method.input, input).catch(cancel);
  const message = receive(call, method.output, signal);
  return { stream: true, service: method.parent, method, header, trailer, message };
}

async function send<I extends DescMessage>(
  call: ClientDuplexStream<Buffer, Buffer>,
  schema: I,
  input: AsyncIterable<MessageInitShape<I>>,
): Promise<void> {
  for await (const message of input) {
    if (!call.write(encode(schema, message))) await new Promise((resolve) => call.once('drain', resolve));
  }
  call.end();
}

async function* receive<O extends DescMessage>(
  call: ClientDuplexStream<Buffer, Buffer>,
  schema: O,
  signal: AbortSignal | undefined,
): AsyncGenerator<MessageShape<O>> {
  try {
    for await (const bytes of call.iterator({ destroyOnReturn: false })) yield fromBinary(schema, bytes);
  } catch (error) {
    if (signal?.aborted) throw reasonOf(signal);
    throw error instanceof ConnectError ? error : errorOf(error as ServiceError);
  } finally {
    call.cancel();
  }
}

const asIs = (bytes: Buffer): Buffer => bytes;

function pathOf(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function encode<I extends DescMessage>(schema: I, init: MessageInitShape<I>): Buffer {
  const bytes = toBinary(schema, create(schema, init));
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function reasonOf({ reason }: AbortSignal): ConnectError {
  return reason instanceof ConnectError ? reason : new ConnectError('canceled', Code.Canceled);
}

function metadataOf(headers: Headers): Metadata {
  const metadata = new Metadata();
  headers.forEach((value, name) => {
    metadata.add(name, value);
  });
  return metadata;
}

function copy(metadata: Metadata, headers: Headers): void {
  for (const [name, values] of Object.entries(metadata.toJSON())) {
    for (const value of values) if (typeof value === 'string') headers.append(name, value);
  }
}
