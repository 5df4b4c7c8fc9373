import type { JaegerExporter } from '@opentelemetry/exporter-jaeger';
import type { ReadableSpan, SpanExporter, SpanProcessor } from '@opentelemetry/sdk-trace';
import type { ExporterName } from './tracing-options.ts';

type Result = Parameters<Parameters<SpanExporter['export']>[1]>[0];

/** What became of spans, since the start. */
export interface SpanCounts {
  /** Recorded to their end. What was neither exported nor failed waits, or was dropped because too many waited. */
  readonly ended: number;
  readonly exported: number;
  /** Given up on, because whoever takes them was away. */
  readonly failed: number;
}

export const NO_SPANS: SpanCounts = { ended: 0, exported: 0, failed: 0 };

/** An exporter that knows how it is doing. */
export class WatchedExporter implements SpanExporter {
  readonly #inner: SpanExporter;
  readonly #onChange: (failure: Error | undefined) => void;
  #failing = false;
  #exported = 0;
  #failed = 0;

  /** @param onChange called when it begins to fail, with why, and when it works again */
  constructor(inner: SpanExporter, onChange: (failure: Error | undefined) => void) {
    this.#inner = inner;
    this.#onChange = onChange;
  }

  get counts(): Omit<SpanCounts, 'ended'> {
    return { exported: this.#exported, failed: this.#failed };
  }

  export(spans: ReadableSpan[], done: (result: Result) => void): void {
    this.#inner.export(spans, (result) => {
      const ok = result.code === 0;
      if (ok) this.#exported += spans.length;
      else this.#failed += spans.length;
      if (ok === this.#failing) {
        this.#failing = !ok;
        this.#onChange(ok ? undefined : (result.error ?? new Error('spans could not be exported')));
      }
      done(result);
    });
  }

  /** Rejects when whoever takes the spans does not answer. Sends nothing but an empty request. */
  async probe(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#inner.export([], (result) => {
      if (result.code === 0) resolve();
      else reject(result.error ?? new Error('no answer'));
    });
    await promise;
  }

  shutdown(): Promise<void> {
    return this.#inner.shutdown();
  }

  forceFlush(): Promise<void> {
    return this.#inner.forceFlush?.() ?? Promise.resolve();
  }
}

/** A processor that knows how many spans it had. */
export class CountedProcessor implements SpanProcessor {
  readonly #inner: SpanProcessor;
  ended = 0;

  constructor(inner: SpanProcessor) {
    this.#inner = inner;
  }

  onStart(...about: Parameters<SpanProcessor['onStart']>): void {
    this.#inner.onStart(...about);
  }

  onEnd(span: ReadableSpan): void {
    this.ended++;
    this.#inner.onEnd(span);
  }

  shutdown(): Promise<void> {
    return this.#inner.shutdown();
  }

  forceFlush(): Promise<void> {
    return this.#inner.forceFlush();
  }
}

/** Jaeger's own endpoint, Thrift over HTTP. */
export const JAEGER = 'http://localhost:14268/api/traces';

/** Opens an exporter, which reads the rest of its settings (headers, certificates, timeouts) as OpenTelemetry prescribes. */
export async function openExporter(
  name: Exclude<ExporterName, 'none'>,
  env: Readonly<Record<string, string | undefined>>,
): Promise<SpanExporter> {
  switch (name) {
    case 'console':
      return new (await import('@opentelemetry/sdk-trace')).ConsoleSpanExporter();
    case 'jaeger': {
      const { JaegerExporter } = await import('@opentelemetry/exporter-jaeger');
      // Without an address, the exporter would send datagrams to an agent, which Jaeger has no more.
      const endpoint = env.OTEL_EXPORTER_JAEGER_ENDPOINT ?? JAEGER;
      return fromSdk2(new JaegerExporter(env.OTEL_EXPORTER_JAEGER_AGENT_HOST ? {} : { endpoint }));
    }
    case 'otlp':
      return await otlp(env);
  }
}

async function otlp(env: Readonly<Record<string, string | undefined>>): Promise<SpanExporter> {
  const protocol =
    env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL || env.OTEL_EXPORTER_OTLP_PROTOCOL || 'http/protobuf';
  const base = env.OTEL_EXPORTER_OTLP_ENDPOINT;
  const path = base && protocol !== 'grpc' ? `${base.replace(/\/$/, '')}/v1/traces` : base;
  const url = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || path;
  const options = url ? { url } : {};
  switch (protocol) {
    case 'grpc':
      return new (await import('@opentelemetry/exporter-trace-otlp-grpc')).OTLPTraceExporter(options);
    case 'http/json':
      return new (await import('@opentelemetry/exporter-trace-otlp-http')).OTLPTraceExporter(options);
    case 'http/protobuf':
      return new (await import('@opentelemetry/exporter-trace-otlp-proto')).OTLPTraceExporter(options);
    default:
      throw new Error(
        `OTEL_EXPORTER_OTLP_PROTOCOL must be grpc, http/json or http/protobuf, not "${protocol}"`,
      );
  }
}

/** The Jaeger exporter is of the SDK before this one; what it reads of a span is the same in both. */
function fromSdk2(exporter: JaegerExporter): SpanExporter {
  return exporter as unknown as SpanExporter;
}
