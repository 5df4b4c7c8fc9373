import type { Span } from '@tradewind/telemetry/span';
import { spanContextOf, type TraceContext, traceContextOf } from '@tradewind/telemetry/trace-context';
import type { HeldEvent } from './held.ts';
import type { Identified } from './incoming.ts';
import type { ReceivedRecord } from './log.ts';

/** What its handler tells hangs under its own span. */
export function continuing<Item extends Identified>(incoming: Item, span: Span | undefined): Item {
  if (!span) return incoming;
  const { traceparent, tracestate } = traceContextOf(span.context);
  return { ...incoming, context: { ...incoming.context, traceparent, tracestate } };
}

/** A record that is kept remembers the attempt at it. */
export function inHeaders(incoming: Identified): Identified {
  const { context } = incoming;
  const record = underSpan(context.record, context);
  return { ...incoming, context: { ...context, record } };
}

export function heldUnder(event: HeldEvent, span: Span | undefined): HeldEvent {
  return span ? { ...event, record: underSpan(event.record, traceContextOf(span.context)) } : event;
}

function underSpan(record: ReceivedRecord, { traceparent, tracestate }: TraceContext): ReceivedRecord {
  const { traceparent: _, tracestate: __, ...headers } = record.headers;
  return {
    ...record,
    headers: {
      ...headers,
      ...(traceparent !== undefined && { traceparent }),
      ...(tracestate !== undefined && { tracestate }),
    },
  };
}

/** What a log line about an event says of its trace. */
export function idsIn(carrier: TraceContext): { trace_id?: string; span_id?: string } {
  const context = spanContextOf(carrier);
  return context ? { trace_id: context.traceId, span_id: context.spanId } : {};
}
