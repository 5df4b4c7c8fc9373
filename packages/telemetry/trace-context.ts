import { context, propagation } from '@opentelemetry/api';

/** The W3C trace context as it travels in an outbox row and in a record's headers. */
export interface TraceContext {
  readonly traceparent?: string;
  readonly tracestate?: string;
}

/** The context of the work that runs now; empty while no telemetry is started or nothing is traced. */
export function currentTraceContext(): TraceContext {
  const carrier: Record<string, string> = {};
  propagation.inject(context.active(), carrier);
  return {
    ...(carrier.traceparent === undefined ? {} : { traceparent: carrier.traceparent }),
    ...(carrier.tracestate === undefined ? {} : { tracestate: carrier.tracestate }),
  };
}

/** `traceparent` of the work that runs now, or undefined. */
export function currentTraceparent(): string | undefined {
  return currentTraceContext().traceparent;
}

/** Runs `work` as a continuation of the trace that `carrier` names; one that is missing or malformed starts from nothing. */
export function withTraceContext<T>(carrier: TraceContext, work: () => T): T {
  return context.with(propagation.extract(context.active(), carrier), work);
}
