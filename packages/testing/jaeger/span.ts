export type TagValue = string | number | boolean;
export type Tags = Readonly<Record<string, TagValue>>;

/** `none` where the span says none. */
export type SpanKind = 'server' | 'client' | 'producer' | 'consumer' | 'internal' | 'none';

export interface SpanLink {
  readonly refType: 'CHILD_OF' | 'FOLLOWS_FROM';
  readonly traceId: string;
  readonly spanId: string;
}

export interface SpanEvent {
  readonly name: string;
  /** Microseconds since 1970. */
  readonly atUs: number;
  readonly tags: Tags;
}

/** A span as Jaeger shows it. */
export interface TraceSpan {
  /** 32 hexadecimal digits, as W3C has it. */
  readonly traceId: string;
  readonly spanId: string;
  /** Of the same trace, whether Jaeger has that span or not. */
  readonly parentId: string | undefined;
  readonly service: string;
  readonly name: string;
  readonly kind: SpanKind;
  /** Microseconds since 1970. */
  readonly startUs: number;
  readonly durationUs: number;
  /** The status says error. */
  readonly error: boolean;
  /** A list is its JSON; a whole number beyond 2^53 is a text. */
  readonly tags: Tags;
  /** Of the process. */
  readonly resource: Tags;
  readonly events: readonly SpanEvent[];
  /** References besides the parent: OpenTelemetry's links, in no order and without their attributes, for Jaeger's API keeps neither. */
  readonly links: readonly SpanLink[];
  /** What Jaeger found odd. */
  readonly warnings: readonly string[];
}

export interface Trace {
  readonly traceId: string;
  /** By start. */
  readonly spans: readonly TraceSpan[];
}

interface KeyValue {
  readonly key: string;
  readonly value: TagValue;
}

/** A trace as Jaeger's API writes it, as far as it is read here. */
export interface TraceAnswer {
  readonly traceID: string;
  readonly spans: readonly SpanAnswer[];
  readonly processes: Readonly<
    Record<string, { readonly serviceName: string; readonly tags: readonly KeyValue[] }>
  >;
}

interface SpanAnswer {
  readonly spanID: string;
  readonly operationName: string;
  readonly references: readonly (Pick<SpanLink, 'refType'> & {
    readonly traceID: string;
    readonly spanID: string;
  })[];
  readonly startTime: number;
  readonly duration: number;
  readonly tags: readonly KeyValue[];
  readonly logs: readonly { readonly timestamp: number; readonly fields: readonly KeyValue[] }[];
  readonly processID: string;
  readonly warnings: readonly string[] | null;
}

export function traceOf(answer: TraceAnswer): Trace {
  const spans = answer.spans.map((span) => spanOf(span, answer));
  spans.sort((a, b) => a.startUs - b.startUs || compare(a.name, b.name) || compare(a.spanId, b.spanId));
  return { traceId: traceIdOf(answer.traceID), spans };
}

function spanOf(span: SpanAnswer, { traceID, processes }: TraceAnswer): TraceSpan {
  const traceId = traceIdOf(traceID);
  const references = span.references.map(
    (reference): SpanLink => ({
      refType: reference.refType,
      traceId: traceIdOf(reference.traceID),
      spanId: reference.spanID,
    }),
  );
  // Jaeger writes the parent first; a link may be of the same trace, too.
  const parent = references.find((one) => one.refType === 'CHILD_OF' && one.traceId === traceId);
  const tags = tagsOf(span.tags);
  const process = processes[span.processID];
  return {
    traceId,
    spanId: span.spanID,
    parentId: parent?.spanId,
    service: process?.serviceName ?? '',
    name: span.operationName,
    kind: (tags['span.kind'] ?? 'none') as SpanKind,
    startUs: span.startTime,
    durationUs: span.duration,
    error: tags.error === true,
    tags,
    resource: tagsOf(process?.tags ?? []),
    events: span.logs.map(({ timestamp, fields }) => {
      const { event = '', ...rest } = tagsOf(fields);
      return { name: String(event), atUs: timestamp, tags: rest };
    }),
    links: references.filter((one) => one !== parent),
    warnings: span.warnings ?? [],
  };
}

function tagsOf(pairs: readonly KeyValue[]): Tags {
  return Object.fromEntries(pairs.map(({ key, value }) => [key, value]));
}

/** Jaeger leaves out the upper half when it is zero. */
function traceIdOf(text: string): string {
  return text.padStart(32, '0');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
