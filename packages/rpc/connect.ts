import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from '@connectrpc/connect';
import type { UniversalHandler, UniversalServerResponse } from '@connectrpc/connect/protocol';
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node';
import type { Metrics } from '@tradewind/telemetry/metrics';
import type { Span } from '@tradewind/telemetry/span';
import type { Logger } from 'pino';
import { ActiveCall, type Face, requestIdFrom } from './call.ts';
import { serverSpan, TRACERESPONSE, traceresponse } from './call-span.ts';
import { jsonOptionsOf } from './connect-json.ts';
import { longestMs, longestTimeout, timeoutMs } from './grpc-timeout.ts';
import type { Limits } from './limits.ts';
import { blameRequest } from './malformed.ts';
import { methodLabel, routeDurations } from './metrics.ts';
import type { Pipeline } from './pipeline.ts';
import { type AnyMessage, asItIs, type Route } from './route.ts';

type Request = IncomingMessage | Http2ServerRequest;
type Response = ServerResponse | Http2ServerResponse;

/** What the HTTP side knows of a request, and its span once the pipeline has seen it (and so logged it). */
type Origin = { peer: string; requestId: string; span: Span | undefined };

const originKey = createContextKey<Origin>({ peer: '', requestId: '', span: undefined });

/** Answers a request when it names an implemented RPC; false when it does not, untouched. */
export type ConnectHandler = (request: Request, response: Response) => boolean;

/** The Connect and gRPC-Web faces, on HTTP/1.1 and HTTP/2. */
export function connectFace(
  pipeline: Pipeline,
  limits: Limits,
  logger: Logger,
  metrics: Metrics,
): ConnectHandler {
  const router = createConnectRouter({
    grpc: false,
    readMaxBytes: limits.bodyBytes,
    acceptCompression: [compressionGzip, compressionBrotli],
  });
  for (const route of pipeline.routes) addRoute(router, pipeline, route);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));

  return (request, response) => {
    const handler = handlers.get(request.url?.split('?', 1)[0] ?? '');
    if (handler === undefined) return false;
    answer(handler, request, response, { logger, metrics }).catch((error: unknown) => {
      // The caller went away while the answer was written, or its Host header is no host.
      logger.debug({ err: error, method: handler.requestPath }, 'no answer');
      if (!response.headersSent) response.statusCode = 400;
      response.end();
    });
    return true;
  };
}

async function answer(
  handler: UniversalHandler,
  request: Request,
  response: Response,
  { logger, metrics }: { logger: Logger; metrics: Metrics },
): Promise<void> {
  const startedAt = performance.now();
  const header = request.headers['x-request-id'];
  const origin: Origin = {
    peer: `${request.socket.remoteAddress}:${request.socket.remotePort}`,
    requestId: requestIdFrom(typeof header === 'string' ? header : undefined),
    span: undefined,
  };
  const contextValues = createContextValues().set(originKey, origin);
  const universal = universalRequestFromNodeRequest(
    request as IncomingMessage,
    response as ServerResponse,
    undefined,
    contextValues,
  );
  shortenTimeout(universal.header);
  let answered = await handler(universal);
  if (!origin.span) {
    answered = await blameRequest(answered);
    origin.span = refused(handler, universal.header, answered.status);
    const duration_ms = Math.round((performance.now() - startedAt) * 1e3) / 1e3;
    const { requestId: request_id, peer } = origin;
    const method = handler.requestPath.slice(1);
    // No call: HTTP itself was wrong, or the message could not be read.
    const durations = routeDurations(metrics, handler.requestPath, methodLabel(request.method));
    durations.observe(answered.status, duration_ms / 1e3);
    const { traceId: trace_id, spanId: span_id } = origin.span.context;
    const { status } = answered;
    logger.info({ method, face: 'connect', status, duration_ms, request_id, peer, trace_id, span_id });
  }
  await universalResponseToNodeResponse(withHeaders(answered, handler, origin), response as ServerResponse);
}

/** What never became a call has a span all the same, for its caller may ask. */
function refused({ requestPath }: UniversalHandler, header: Headers, status: number): Span {
  const caller = {
    traceparent: header.get('traceparent') ?? undefined,
    tracestate: header.get('tracestate') ?? undefined,
  };
  const span = serverSpan(requestPath.slice(1), 'connect', caller);
  span.end({ 'http.response.status_code': status });
  return span;
}

/** Connect's timers take 31 bits of milliseconds and end at once with more. */
function shortenTimeout(header: Headers): void {
  if (Number(header.get('connect-timeout-ms')) > longestMs) header.set('connect-timeout-ms', `${longestMs}`);
  const ms = timeoutMs(header.get('grpc-timeout') ?? '');
  if (ms !== undefined && ms > longestMs) header.set('grpc-timeout', longestTimeout);
}

function withHeaders(
  answered: UniversalServerResponse,
  handler: UniversalHandler,
  { requestId, span }: Origin,
): UniversalServerResponse {
  const header = new Headers(answered.header);
  header.set('x-request-id', requestId);
  if (span) header.set(TRACERESPONSE, traceresponse(span));
  if (answered.status === 405) header.set('allow', handler.allowedMethods.join(', '));
  return { ...answered, header };
}

class ConnectCall extends ActiveCall {
  readonly #context: HandlerContext;
  readonly #origin: Origin;

  constructor(context: HandlerContext, streaming: boolean) {
    const origin = context.values.get(originKey);
    super(context.protocolName as Face, origin.peer, origin.requestId, streaming);
    this.#context = context;
    this.#origin = origin;
    const timeoutMs = context.timeoutMs();
    if (timeoutMs !== undefined) this.expect(timeoutMs);
    const { signal } = context;
    const leave = () => {
      // The signal aborts after an answer, too.
      if (!this.finished) this.abort(gone(signal.reason));
    };
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave, { once: true });
  }

  header(name: string): string | undefined {
    return this.#context.requestHeader.get(name) ?? undefined;
  }

  protected override begin(method: string): Span {
    const span = super.begin(method);
    this.#origin.span = span;
    return span;
  }

  setHeader(name: string, value: string): void {
    this.#context.responseHeader.set(name, value);
  }
}

function gone(reason: unknown): ConnectError {
  const deadline = reason instanceof ConnectError && reason.code === Code.DeadlineExceeded;
  return deadline
    ? new ConnectError('deadline exceeded', Code.DeadlineExceeded)
    : new ConnectError('canceled by the caller', Code.Canceled);
}

function addRoute(router: ConnectRouter, pipeline: Pipeline, route: Route): void {
  // The router's type follows the method's kind, which is known only at run time here.
  router.rpc(route.method, handlerOf(pipeline, route) as never, {
    jsonOptions: jsonOptionsOf(route.method.input),
  });
}

function handlerOf(pipeline: Pipeline, route: Route) {
  const stream = (requests: AsyncIterable<AnyMessage>, context: HandlerContext) =>
    pipeline.stream(route, requests, new ConnectCall(context, true));
  switch (route.method.methodKind) {
    case 'unary':
      return (request: AnyMessage, context: HandlerContext) =>
        pipeline.unary(route, () => request, asItIs, new ConnectCall(context, false));
    case 'server_streaming':
      return (request: AnyMessage, context: HandlerContext) => stream(one(request), context);
    case 'bidi_streaming':
      return stream;
    default:
      return async (requests: AsyncIterable<AnyMessage>, context: HandlerContext) => {
        for await (const response of stream(requests, context)) return response;
        throw new ConnectError('no answer', Code.Internal);
      };
  }
}

async function* one<T>(value: T): AsyncGenerator<T> {
  yield value;
}
