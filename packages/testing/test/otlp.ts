import { randomBytes } from 'node:crypto';

/** A span as OTLP writes it in JSON; kind 1 to 5 is internal, server, client, producer, consumer. */
export interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly name: string;
  readonly kind: 0 | 1 | 2 | 3 | 4 | 5;
  readonly parentSpanId?: string;
  /** Nanoseconds since 1970. */
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly [more: string]: unknown;
}

export const newTraceId = () => randomBytes(16).toString('hex');
export const newSpanId = () => randomBytes(8).toString('hex');

/** Milliseconds since 1970 as OTLP's nanoseconds. */
export const nanos = (ms: number) => String(BigInt(Math.round(ms * 1_000)) * 1_000n);

/** A span of a millisecond, now. */
export function span(name: string, more: Partial<OtlpSpan> = {}): OtlpSpan {
  const now = Date.now();
  return {
    traceId: newTraceId(),
    spanId: newSpanId(),
    name,
    kind: 1,
    startTimeUnixNano: nanos(now),
    endTimeUnixNano: nanos(now + 1),
    ...more,
  };
}

/** Sends spans as an OpenTelemetry exporter of a service would, by HTTP and JSON. Rejects when they are not taken. */
export async function sendSpans(
  otlpHttp: string,
  service: string,
  spans: readonly OtlpSpan[],
): Promise<void> {
  const resource = { attributes: [{ key: 'service.name', value: { stringValue: service } }] };
  const answer = await fetch(`${otlpHttp}/v1/traces`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ spans }] }] }),
    signal: AbortSignal.timeout(2_000),
  });
  if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
}
