import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Logger } from 'pino';
import type { ActiveCall, Face, Unary } from './call.ts';
import { type FieldViolation, toConnectError, violationsOf } from './failure.ts';
import type { Implementation } from './implement.ts';
import { codeName, type MethodMetrics, type Metrics } from './metrics.ts';
import { type Check, checkOf } from './validate.ts';

/**
 * Runs an implemented unary method for another face: validation, deadline, error translation, access log, metrics.
 * Rejects with ConnectError only; UNIMPLEMENTED for a method that the server does not implement.
 */
export type Invoke = <I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
  call: ActiveCall,
) => Promise<MessageShape<O>>;

export type AnyMessage = MessageShape<DescMessage>;

/** Makes of a response what a face sends. */
export type Encode<T> = (response: AnyMessage, route: Route) => T;

export const asItIs: Encode<AnyMessage> = (response) => response;

/** A method with all that a call of it needs, made once. */
export type Route = {
  readonly method: DescMethod;
  /** `tradewind.order.v1.OrderService/CreateOrder` */
  readonly name: string;
  readonly handler: unknown;
  readonly check: Check;
  readonly metrics: Record<Face, MethodMetrics>;
  /** Writes the access log line of a call that succeeded. */
  readonly succeeded: Record<Face, Logger>;
};

export type PipelineOptions = {
  implementations: readonly Implementation[];
  logger: Logger;
  metrics: Metrics;
  /** Milliseconds that a unary call may take when the caller does not say. */
  deadlineMs: number;
};

/** The one way through which every call on every face goes. */
export class Pipeline {
  readonly routes: readonly Route[];
  readonly #byMethod = new Map<DescMethod, Route>();
  readonly #logger: Logger;
  readonly #deadlineMs: number;
  readonly #active = new Set<ActiveCall>();

  constructor({ implementations, logger, metrics, deadlineMs }: PipelineOptions) {
    this.#logger = logger;
    this.#deadlineMs = deadlineMs;
    this.routes = implementations.flatMap(({ service, handlers }) =>
      service.methods.map((method) => routeOf(method, handlers[method.localName], metrics, logger)),
    );
    for (const route of this.routes) this.#byMethod.set(route.method, route);
  }

  /** Calls that are not answered yet. */
  get inFlight(): number {
    return this.#active.size;
  }

  readonly invoke: Invoke = async (method, request, call) => {
    const route = this.#byMethod.get(method);
    if (route === undefined) throw new ConnectError(`${method} is not implemented`, Code.Unimplemented);
    const decode = () => {
      const message = create(method.input, request);
      // Encoding checks what types can't: that numbers fit their fields.
      toBinary(method.input, message);
      return message;
    };
    return (await this.unary(route, decode, asItIs, call)) as MessageShape<typeof method.output>;
  };

  /**
   * One unary call. `decode` gives the request, what it throws is INVALID_ARGUMENT; `encode` makes the answer. Rejects
   * with ConnectError only.
   */
  async unary<T>(route: Route, decode: () => AnyMessage, encode: Encode<T>, call: ActiveCall): Promise<T> {
    this.#active.add(call);
    try {
      if (call.timeoutMs() === undefined) call.limit(this.#deadlineMs);
      const request = decoded(decode);
      route.check(request);
      const init = await untilAborted((route.handler as Unary<DescMessage, DescMessage>)(request, call), call);
      const answer = encode(create(route.method.output, init), route);
      this.#end(route, call, 0);
      return answer;
    } catch (error) {
      throw this.#failed(route, call, error);
    }
  }

  /** A streaming call: the same, but for the default deadline, and with the log line at its end. */
  async *stream(route: Route, requests: AsyncIterable<AnyMessage>, call: ActiveCall): AsyncGenerator<AnyMessage> {
    this.#active.add(call);
    const responses = respond(route, requests, call)[Symbol.asyncIterator]();
    let ended = false;
    try {
      for (;;) {
        const { done, value } = await untilAborted(responses.next(), call);
        if (done) break;
        yield create(route.method.output, value);
      }
      ended = true;
      this.#end(route, call, 0);
    } catch (error) {
      ended = true;
      throw this.#failed(route, call, error);
    } finally {
      // Neither end nor error: the face gave the stream up.
      if (!ended) this.#end(route, call, Code.Canceled);
      // Not awaited: a handler that does not watch its signal would hold the call for ever.
      responses.return?.().catch(() => {});
    }
  }

  /** Ends the streams that are open, so that a server that drains need not wait for them. */
  endStreams(): void {
    const reason = new ConnectError('the server is shutting down', Code.Unavailable);
    for (const call of this.#active) if (call.streaming) call.abort(reason);
  }

  #failed(route: Route, call: ActiveCall, error: unknown): ConnectError {
    const failure = call.aborted ?? toConnectError(error);
    this.#end(route, call, failure.code, failure);
    if (failure.code === Code.Internal || failure.code === Code.Unknown || failure.code === Code.Unavailable) {
      const err = failure.cause ?? failure;
      this.#logger.error({ err, method: route.name, request_id: call.requestId }, 'call failed');
    }
    return failure;
  }

  #end(route: Route, call: ActiveCall, code: number, failure?: ConnectError): void {
    this.#active.delete(call);
    call.finish();
    const seconds = (performance.now() - call.startedAt) / 1000;
    route.metrics[call.face].observe(code, seconds);
    const line = {
      duration_ms: Math.round(seconds * 1e6) / 1e3,
      request_id: call.requestId,
      peer: call.peer,
    };
    if (code === 0) {
      route.succeeded[call.face].info(line);
      return;
    }
    // Names of fields only: what was in them may be personal.
    const fields = code === Code.InvalidArgument && failure ? violationsOf(failure).map(fieldOf) : undefined;
    this.#logger.info({ method: route.name, face: call.face, code: codeName(code), ...line, fields });
  }
}

const fieldOf = ({ field }: FieldViolation): string => field;

const faces: readonly Face[] = ['grpc', 'grpc-web', 'connect', 'http'];

function routeOf(method: DescMethod, handler: unknown, metrics: Metrics, logger: Logger): Route {
  const name = `${method.parent.typeName}/${method.name}`;
  const byFace = <T>(make: (face: Face) => T) =>
    Object.fromEntries(faces.map((face) => [face, make(face)])) as Record<Face, T>;
  return {
    method,
    name,
    handler,
    check: checkOf(method.input),
    metrics: byFace((face) => metrics.method(name, face)),
    // What is the same in every line is written as text once; nothing in these lines needs redacting.
    succeeded: byFace((face) => logger.child({ method: name, face, code: 'OK' }, { redact: [] })),
  };
}

function decoded(decode: () => AnyMessage): AnyMessage {
  try {
    return decode();
  } catch (error) {
    if (error instanceof ConnectError) throw error;
    // The decoder's message names the field and holds nothing but what the caller sent.
    const reason = error instanceof Error ? error.message : 'not decodable';
    throw new ConnectError(reason, Code.InvalidArgument, undefined, undefined, error);
  }
}

/** Settles with the handler, or as soon as the call is aborted, whichever is first. */
function untilAborted<T>(result: Promise<T>, call: ActiveCall): Promise<T> {
  return new Promise((resolve, reject) => {
    if (call.aborted) reject(call.aborted);
    call.onAbort = reject;
    result.then(resolve, reject);
  });
}

type Responses = AsyncIterable<MessageInitShape<DescMessage>>;

async function* respond(route: Route, requests: AsyncIterable<AnyMessage>, call: ActiveCall): Responses {
  const checked = check(route, requests);
  switch (route.method.methodKind) {
    case 'server_streaming': {
      const { value: request, done } = await checked.next();
      if (done) throw new ConnectError('the request is missing', Code.InvalidArgument);
      yield* (route.handler as (request: AnyMessage, call: ActiveCall) => Responses)(request, call);
      return;
    }
    case 'bidi_streaming':
      yield* (route.handler as (requests: AsyncIterable<AnyMessage>, call: ActiveCall) => Responses)(checked, call);
      return;
    default: {
      type Client = (requests: AsyncIterable<AnyMessage>, call: ActiveCall) => Promise<MessageInitShape<DescMessage>>;
      yield await untilAborted((route.handler as Client)(checked, call), call);
    }
  }
}

async function* check(route: Route, requests: AsyncIterable<AnyMessage>): AsyncGenerator<AnyMessage, undefined> {
  for await (const request of requests) {
    route.check(request);
    yield request;
  }
}
