import { type EventEmitter, once } from 'node:events';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { Metadata, type ServerDuplexStream, type ServerWritableStream } from '@grpc/grpc-js';
import { ActiveCall } from './call.ts';
import { undecodable } from './failure.ts';
import { statusOf } from './grpc-status.ts';
import type { Pipeline } from './pipeline.ts';
import type { AnyMessage, Encode, Route } from './route.ts';

type Exchange = ServerWritableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>;

/** Answers streaming calls: each message is sent as it comes, when the one before has left. */
export function streamHandler(pipeline: Pipeline, route: Route) {
  return (call: Exchange): void => {
    const active = new StreamCall(call);
    (call as EventEmitter).on('cancelled', active.cancel);
    send(pipeline.stream(route, requestsOf(call, route), active), call, route, active).then(
      () => {
        active.sendHeaders();
        call.end();
      },
      (error: ConnectError) => call.emit('error', active.status(error)),
    );
  };
}

async function* requestsOf(call: Exchange, route: Route): AsyncGenerator<AnyMessage> {
  // Leaving the loop early must not destroy the stream: the answer still goes through it.
  const bodies = 'request' in call ? [call.request] : call.iterator({ destroyOnReturn: false });
  for await (const body of bodies) {
    try {
      yield fromBinary(route.method.input, body);
    } catch (error) {
      throw undecodable(error);
    }
  }
}

async function send(
  messages: AsyncIterable<AnyMessage>,
  call: Exchange,
  route: Route,
  active: StreamCall,
): Promise<void> {
  for await (const message of messages) {
    active.sendHeaders();
    if (!call.write(encodeBinary(message, route))) await once(call, 'drain', { signal: active.signal });
  }
}

/** A response as gRPC's body, without copying it. */
const encodeBinary: Encode<Buffer> = (response, route) => {
  const bytes = toBinary(route.method.output, response);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
};

/** A streaming call of the gRPC face. */
class StreamCall extends ActiveCall {
  readonly #exchange: Exchange;
  readonly #headers = new Metadata();

  constructor(exchange: Exchange) {
    super('grpc', exchange.getPeer(), first(exchange.metadata, 'x-request-id'), true);
    this.#exchange = exchange;
    this.#headers.set('x-request-id', this.requestId);
    const deadline = exchange.getDeadline();
    if (typeof deadline === 'number' && Number.isFinite(deadline)) this.expect(deadline - Date.now());
  }

  header(name: string): string | undefined {
    return first(this.#exchange.metadata, name);
  }

  setHeader(name: string, value: string): void {
    this.#headers.set(name, value);
  }

  /** Does nothing when they are already sent. */
  sendHeaders(): void {
    this.#exchange.sendMetadata(this.#headers);
  }

  status(error: ConnectError): ReturnType<typeof statusOf> {
    return statusOf(error, this.#headers);
  }

  /** grpc-js says so after an answer, after a deadline that it answered itself, and when a caller went away. */
  readonly cancel = (): void => {
    if (this.finished) return;
    if (this.timeoutMs() === 0) this.expire();
    else this.abort(new ConnectError('canceled by the caller', Code.Canceled));
  };
}

function first(metadata: Metadata, name: string): string | undefined {
  const value = metadata.get(name)[0];
  return value === undefined ? undefined : value.toString();
}
