import type { DescMethod } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { newSpanId } from '@tradewind/telemetry/ids';
import { Span } from '@tradewind/telemetry/span';
import {
  activeSpanContext,
  spanContextOf,
  type TraceContext,
  traceContextOf,
} from '@tradewind/telemetry/trace-context';
import { tracing } from '@tradewind/telemetry/tracer';
import type { Face } from './call.ts';
import { codeName } from './metrics.ts';

// Names, kinds and attributes: https://opentelemetry.io/docs/specs/semconv/rpc/rpc-spans/

const SCOPE = 'rpc';
const SYSTEMS = { grpc: 'grpc', 'grpc-web': 'grpc', connect: 'connectrpc' } as const;
/** What is the server's fault; the rest is an answer like any other. */
const FAULTS = new Set<number>([
  Code.Unknown,
  Code.DeadlineExceeded,
  Code.Unimplemented,
  Code.Internal,
  Code.Unavailable,
  Code.DataLoss,
]);

/** The header that tells a caller its trace: https://www.w3.org/TR/trace-context-2/#traceresponse-header */
export const TRACERESPONSE = 'traceresponse';

/** A span as `traceresponse` names it. Where nothing is recorded it has the caller's own context, which is no answer. */
export function traceresponse({ context }: Span): string {
  const told = context.isRemote ? { ...context, spanId: newSpanId(), traceFlags: 0 } : context;
  return traceContextOf(told).traceparent ?? '';
}

/** The span of a call that came in: the server's, below its caller's. */
export function serverSpan(method: string, face: Exclude<Face, 'http'>, caller: TraceContext): Span {
  return new Span(method, {
    scope: SCOPE,
    kind: 'server',
    // Health and reflection are asked for by machines, all day long.
    never: method.startsWith('grpc.'),
    parent: spanContextOf(caller) ?? null,
    attributes: { 'rpc.system.name': SYSTEMS[face], 'rpc.method': method, 'tradewind.face': face },
  });
}

/** The span of a call that an HTTP request makes: below the request's. */
export function innerSpan(method: string, request: Span | undefined): Span {
  return new Span(method, {
    scope: SCOPE,
    parent: request?.context ?? null,
    attributes: { 'rpc.method': method, 'tradewind.face': 'http' },
  });
}

/** Ends a call's span. @param code 0 is OK */
export function endCall(span: Span, code: number): void {
  const name = codeName(code);
  if (FAULTS.has(code)) span.failed(name);
  span.end({ 'rpc.response.status_code': name });
}

/**
 * The span of a call to another server, and its context among the headers; undefined where nothing is traced.
 * @param headers they may name the call that this one helps to answer; if not, it is what runs now
 */
export function clientSpan(method: DescMethod, headers: Headers): Span | undefined {
  if (!tracing()) return undefined;
  const name = `${method.parent.typeName}/${method.name}`;
  const answering = spanContextOf({
    traceparent: headers.get('traceparent') ?? undefined,
    tracestate: headers.get('tracestate') ?? undefined,
  });
  const span = new Span(name, {
    scope: SCOPE,
    kind: 'client',
    parent: answering ?? activeSpanContext() ?? null,
    attributes: { 'rpc.system.name': 'grpc', 'rpc.method': name },
  });
  for (const [header, value] of Object.entries(traceContextOf(span.context)))
    if (value) headers.set(header, value);
  return span;
}
