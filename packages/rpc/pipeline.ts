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
import type { Metrics } from '@tradewind/telemetry/metrics';
import type { Span } from '@tradewind/telemetry/span';
import type { Logger } from 'pino';
import { AccessLog } from './access-log.ts';
import type { ActiveCall, Unary } from './call.ts';
import { endCall } from './call-span.ts';
import { type FieldViolation, toConnectError, undecodable, violationsOf } from './failure.ts';
import type { Implementation } from './implement.ts';
import { codeName, type Durations, methodDurations } from './metrics.ts';
import { respond } from './respond.ts';
import { type AnyMessage, asItIs, type Encode, type Route, routeOf } from './route.ts';

/**
 * Runs an implemented unary method for another face: validation, deadline, error translation, access log, metrics.
 * Rejects with ConnectError only; UNIMPLEMENTED for a method that the server does not implement.
 */
export type Invoke = <I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
  call: ActiveCall,
) => Promise<MessageShape<O>>;

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
  /** Of gRPC calls that name no method of ours: the names are the callers' own. */
  readonly unknown: Durations;
  readonly #byMethod = new Map<DescMethod, Route>();
  readonly #logger: Logger;
  readonly #log: AccessLog;
  readonly #deadlineMs: number;
  readonly #active = new Set<ActiveCall>();

  constructor({ implementations, logger, metrics, deadlineMs }: PipelineOptions) {
    this.#logger = logger;
    this.#log = new AccessLog(logger);
    this.unknown = methodDurations(metrics, 'unknown', 'grpc');
    this.#deadlineMs = deadlineMs;
    this.routes = implementations.flatMap(({ service, handlers }) =>
      service.methods.map((method) => routeOf(method, handlers[method.localName], metrics, this.#log)),
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
      const span = call.spanOf(route.name);
      const request = decoded(decode);
      route.check(request);
      const handler = route.handler as Unary<DescMessage, DescMessage>;
      const init = await call.race(span.run(() => handler(request, call)));
      const answer = encode(create(route.method.output, init), route);
      this.#end(route, call, 0);
      return answer;
    } catch (error) {
      throw this.failed(route, call, error);
    }
  }

  /** A streaming call: the same, but for the default deadline, and with the log line at its end. */
  async *stream(
    route: Route,
    requests: AsyncIterable<AnyMessage>,
    call: ActiveCall,
  ): AsyncGenerator<AnyMessage> {
    this.#active.add(call);
    const span = call.spanOf(route.name);
    const responses = respond(route, requests, call)[Symbol.asyncIterator]();
    let ended = false;
    try {
      for (;;) {
        const { done, value } = await call.race(span.run(() => responses.next()));
        if (done) break;
        yield create(route.method.output, value);
      }
      ended = true;
      this.#end(route, call, 0);
    } catch (error) {
      ended = true;
      throw this.failed(route, call, error);
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

  /** Writes what is kept of the access log. */
  flush(): void {
    this.#log.flush();
  }

  /** Ends a call that failed, with its log line, and gives what its caller is told. */
  failed(route: Route, call: ActiveCall, error: unknown): ConnectError {
    const failure = call.aborted ?? toConnectError(error);
    this.#end(route, call, failure.code, failure);
    const why = {
      err: failure.cause ?? failure,
      method: route.name,
      request_id: call.requestId,
      ...idsOf(call.spanOf(route.name)),
    };
    if (failure.code === Code.Internal || failure.code === Code.Unknown) {
      this.#logger.error(why, 'call failed');
    } else if (failure.code === Code.Unavailable && failure.cause !== undefined) {
      this.#logger.warn(why, 'a dependency is away');
    }
    return failure;
  }

  #end(route: Route, call: ActiveCall, code: number, failure?: ConnectError): void {
    this.#active.delete(call);
    call.finish();
    const seconds = (performance.now() - call.startedAt) / 1000;
    route.metrics[call.face].observe(code, seconds);
    const span = call.spanOf(route.name);
    endCall(span, code);
    const { traceId, spanId } = span.context;
    const { requestId, peer } = call;
    const durationMs = Math.round(seconds * 1e6) / 1e3;
    if (code === 0) {
      route.succeeded[call.face]({ durationMs, requestId, peer, traceId, spanId });
      return;
    }
    // Names of fields only: what was in them may be personal.
    const fields = code === Code.InvalidArgument && failure ? violationsOf(failure).map(fieldOf) : undefined;
    this.#logger.info({
      method: route.name,
      face: call.face,
      code: codeName(code),
      duration_ms: durationMs,
      request_id: requestId,
      peer,
      ...idsOf(span),
      fields,
    });
  }
}

/** A call is logged when its work is over, and nothing runs below its span any more. */
const idsOf = ({ context: { traceId, spanId } }: Span) => ({ trace_id: traceId, span_id: spanId });

const fieldOf = ({ field }: FieldViolation): string => field;

function decoded(decode: () => AnyMessage): AnyMessage {
  try {
    return decode();
  } catch (error) {
    throw undecodable(error);
  }
}
