import { context, createTraceState, type SpanContext, TraceFlags, trace } from '@opentelemetry/api';

/** The W3C trace context (https://www.w3.org/TR/trace-context/) as it travels in an outbox row, in a record's headers and with a call. */
export interface TraceContext {
  readonly traceparent?: string | undefined;
  readonly tracestate?: string | undefined;
}

/** A later version may add to it. */
const TRACEPARENT =
  /^(?!ff)(?!00.{54})[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:$|-)/;

/** Where a carried context points; undefined when it is missing or malformed, as the specification wants it. */
export function spanContextOf({ traceparent, tracestate }: TraceContext): SpanContext | undefined {
  if (traceparent === undefined || !TRACEPARENT.test(traceparent)) return undefined;
  return {
    traceId: traceparent.slice(3, 35),
    spanId: traceparent.slice(36, 52),
    traceFlags: Number.parseInt(traceparent.slice(53, 55), 16) & TraceFlags.SAMPLED,
    isRemote: true,
    ...(tracestate && { traceState: createTraceState(tracestate) }),
  };
}

/** The context of a span, as it travels. */
export function traceContextOf({ traceId, spanId, traceFlags, traceState }: SpanContext): TraceContext {
  const tracestate = traceState?.serialize();
  return {
    traceparent: `00-${traceId}-${spanId}-0${traceFlags & TraceFlags.SAMPLED}`,
    ...(tracestate && { tracestate }),
  };
}

/** The span whose work runs now; undefined where nothing is traced. */
export function activeSpanContext(): SpanContext | undefined {
  return trace.getSpanContext(context.active());
}

/** The context of the work that runs now; empty where nothing is traced. */
export function currentTraceContext(): TraceContext {
  const active = activeSpanContext();
  return active ? traceContextOf(active) : {};
}

/** Whether whoever sent this context records it. */
export function isSampled({ traceFlags }: SpanContext): boolean {
  return (traceFlags & TraceFlags.SAMPLED) !== 0;
}
