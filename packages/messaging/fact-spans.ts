import { errorType, Span } from '@tradewind/telemetry/span';
import {
  isSampled,
  spanContextOf,
  type TraceContext,
  traceContextOf,
} from '@tradewind/telemetry/trace-context';
import { tracing } from '@tradewind/telemetry/tracer';

// Names, kinds and attributes: https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/

const SCOPE = 'messaging';

/** The span of a fact, and the context that travels with it. */
export interface Telling {
  /** Ended by whoever writes the fact; one that is never written is never seen. */
  readonly span: Span | undefined;
  readonly trace: TraceContext;
}

/** A fact that is to be told: its span is what everything that follows from it hangs under. */
export function telling(topic: string, key: string, id: string, teller: TraceContext): Telling {
  if (teller.traceparent !== undefined && !tracing()?.exports) return { span: undefined, trace: teller };
  const parent = spanContextOf(teller);
  // What nobody records needs no id of its own; but a fact that nobody asked for begins a trace.
  if (parent && !isSampled(parent)) return { span: undefined, trace: teller };
  const span = new Span(`create ${topic}`, {
    scope: SCOPE,
    kind: 'producer',
    parent: parent ?? null,
    attributes: {
      'messaging.system': 'outbox',
      'messaging.operation.name': 'create',
      'messaging.operation.type': 'create',
      'messaging.destination.name': topic,
      'messaging.message.id': id,
      'messaging.message.conversation_id': key,
    },
  });
  return { span, trace: traceContextOf(span.context) };
}

/** A row of the outbox as far as its way to the log is concerned. */
export interface SentFact {
  readonly id: string;
  readonly topic: string;
  readonly key: string;
  readonly writtenAt: Date;
  readonly trace: TraceContext;
}

/** Facts that were appended together. How long each waited in the outbox is between its own span's end and this one's beginning. */
export function sent<Row>(
  system: string,
  rows: readonly Row[],
  factIn: (row: Row) => SentFact,
  startTime: number,
  refusal?: unknown,
): void {
  if (!tracing()?.exports) return;
  for (const row of rows) {
    const { id, topic, key, writtenAt, trace } = factIn(row);
    const parent = spanContextOf(trace);
    if (!parent || (!isSampled(parent) && !refusal)) continue;
    const span = new Span(`send ${topic}`, {
      scope: SCOPE,
      kind: 'client',
      parent,
      startTime,
      attributes: {
        'messaging.system': system,
        'messaging.operation.name': 'send',
        'messaging.operation.type': 'send',
        'messaging.destination.name': topic,
        'messaging.message.id': id,
        'messaging.message.conversation_id': key,
        'messaging.batch.message_count': rows.length,
        'tradewind.outbox.wait_ms': Math.max(0, Math.round(startTime - writtenAt.getTime())),
      },
    });
    if (refusal) span.failed(errorType(refusal));
    span.end();
  }
}
