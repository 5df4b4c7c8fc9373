import { type EventEmitter, once } from 'node:events';
import { fromBinary } from '@bufbuild/protobuf';
import type { ConnectError } from '@connectrpc/connect';
import type { ServerDuplexStream, ServerWritableStream } from '@grpc/grpc-js';
import { undecodable } from './failure.ts';
import { encodeBinary, GrpcCall } from './grpc-call.ts';
import type { Pipeline } from './pipeline.ts';
import type { AnyMessage, Route } from './route.ts';

/** Answers streaming calls: each message is sent as it comes, when the one before has left. */
export function streamHandler(pipeline: Pipeline, route: Route) {
  return (call: ServerWritableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>): void => {
    const active = new GrpcCall(call, call.metadata, true);
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

async function* requestsOf(
  call: ServerWritableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>,
  route: Route,
): AsyncGenerator<AnyMessage> {
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
  call: ServerWritableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>,
  route: Route,
  active: GrpcCall,
): Promise<void> {
  for await (const message of messages) {
    active.sendHeaders();
    if (!call.write(encodeBinary(message, route))) await once(call, 'drain', { signal: active.signal });
  }
}
