import type { DescMessage, MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { ActiveCall } from './call.ts';
import type { AnyMessage, Route } from './route.ts';

type Responses = AsyncIterable<MessageInitShape<DescMessage>>;

/** Runs a streaming handler; every request of its stream is checked as it comes. */
export async function* respond(
  route: Route,
  requests: AsyncIterable<AnyMessage>,
  call: ActiveCall,
): Responses {
  const checked = check(route, requests);
  switch (route.method.methodKind) {
    case 'server_streaming': {
      const { value: request, done } = await checked.next();
      if (done) throw new ConnectError('the request is missing', Code.InvalidArgument);
      yield* (route.handler as (request: AnyMessage, call: ActiveCall) => Responses)(request, call);
      return;
    }
    case 'bidi_streaming':
      yield* (route.handler as (requests: AsyncIterable<AnyMessage>, call: ActiveCall) => Responses)(
        checked,
        call,
      );
      return;
    default: {
      type Client = (
        requests: AsyncIterable<AnyMessage>,
        call: ActiveCall,
      ) => Promise<MessageInitShape<DescMessage>>;
      yield await call.race((route.handler as Client)(checked, call));
    }
  }
}

async function* check(
  route: Route,
  requests: AsyncIterable<AnyMessage>,
): AsyncGenerator<AnyMessage, undefined> {
  for await (const request of requests) {
    route.check(request);
    yield request;
  }
}
