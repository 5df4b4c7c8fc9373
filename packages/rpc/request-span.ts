import type { IncomingMessage } from 'node:http';
import { Span } from '@tradewind/telemetry/span';
import { spanContextOf } from '@tradewind/telemetry/trace-context';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { TRACERESPONSE, traceresponse } from './call-span.ts';

// Names and attributes: https://opentelemetry.io/docs/specs/semconv/http/http-spans/

const spans = new WeakMap<FastifyRequest, Span>();

/** The span of an HTTP request; undefined for probes, which nobody wants to see. */
export function requestSpan(request: FastifyRequest): Span | undefined {
  return spans.get(request);
}

/**
 * Gives every request a span, but for those of `unseen` routes, and tells it to the caller. What a route does runs below it by way of `callOf`, for
 * nothing else is done in routes.
 */
export function traceRequests(app: FastifyInstance, unseen: ReadonlySet<string>): void {
  app.addHook('onRequest', (request, reply, done) => {
    if (!unseen.has(request.routeOptions.url ?? '')) beginRequest(request, reply);
    done();
  });
}

/** Begins the span of a request and tells it to the caller; it ends with the answer, or with the caller. */
export function beginRequest(request: FastifyRequest, reply: FastifyReply): Span {
  // What never got as far as the routes has none.
  const route = request.routeOptions?.url;
  const span = new Span(route === undefined ? request.method : `${request.method} ${route}`, {
    scope: 'rpc',
    kind: 'server',
    parent: callerOf(request.raw) ?? null,
    attributes: {
      'http.request.method': request.method,
      'url.scheme': request.protocol,
      'network.protocol.version': request.raw.httpVersion,
      ...(route !== undefined && { 'http.route': route }),
    },
  });
  spans.set(request, span);
  // Also of one whose caller has gone, of which Fastify says nothing.
  reply.raw.once('close', () => end(span, reply));
  void reply.header(TRACERESPONSE, traceresponse(span));
  return span;
}

function callerOf({ headers }: IncomingMessage) {
  const { traceparent, tracestate } = headers;
  return spanContextOf({
    traceparent: typeof traceparent === 'string' ? traceparent : undefined,
    tracestate: typeof tracestate === 'string' ? tracestate : undefined,
  });
}

function end(span: Span, { raw, statusCode }: FastifyReply): void {
  if (!raw.writableFinished) {
    span.end({ 'error.type': 'canceled' });
    return;
  }
  if (statusCode >= 500) span.failed(String(statusCode));
  span.end({ 'http.response.status_code': statusCode });
}
