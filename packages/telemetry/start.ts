import { context, type DiagLogger, diag, metrics, propagation, type Tracer, trace } from '@opentelemetry/api';
import { JAEGER, NO_SPANS, openExporter, type SpanCounts, WatchedExporter } from './exporter.ts';
import type { Logger } from './logger.ts';
import { maskUrl } from './mask.ts';
import { Span } from './span.ts';
import { activeSpanContext } from './trace-context.ts';
import { traceWith } from './tracer.ts';
import type { ExporterName, SamplerName } from './tracing-options.ts';

export interface TelemetryOptions {
  readonly service: string;
  readonly version: string;
  readonly logger: Logger;
  /** Left out: `otlp` where an endpoint is given, else `none`. */
  readonly exporter?: ExporterName | undefined;
  /** `parentbased_always_on` when left out. */
  readonly sampler?: SamplerName | undefined;
  /** Of the samplers by ratio; 1 when left out. */
  readonly ratio?: number | undefined;
  /** What OpenTelemetry's own parts read. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface Telemetry extends AsyncDisposable {
  readonly exporter: ExporterName;
  readonly spans: SpanCounts;
}

/** How long the last spans may take to leave. */
const FLUSH_MS = 2_000;

/**
 * Starts tracing for the whole process, and says in the log whether it works; a Collector that is away is no reason to wait. Without an exporter
 * work still has trace ids, in its logs, answers and events, but nothing is recorded.
 */
export async function startTelemetry(options: TelemetryOptions): Promise<Telemetry> {
  const { logger, env } = options;
  const name = exporterOf(options);
  if (name === 'none') {
    await propagate();
    traceWith({
      exports: false,
      parentBased: true,
      samples: () => false,
      tracerOf: (scope) => trace.getTracer(scope),
    });
    logger.info({ exporter: 'none' }, 'tracing: ids only, nothing is recorded');
    return {
      exporter: name,
      spans: NO_SPANS,
      async [Symbol.asyncDispose]() {
        traceWith(undefined);
        context.disable();
      },
    };
  }
  diag.setLogger(quietly(logger), { suppressOverrideMessage: true });
  const about = { exporter: name, endpoint: endpointOf(name, env) };
  const watched = new WatchedExporter(await openExporter(name, env), (failure) => {
    if (failure)
      logger.warn({ err: failure, ...about }, 'tracing: spans are lost until the exporter works again');
    else logger.info(about, 'tracing: spans are exported again');
  });
  const { startSdk } = await import('./sdk.ts');
  const { headDecision } = await import('./sampling.ts');
  const sdk = startSdk(options, watched);
  const { sampler = 'parentbased_always_on' } = options;
  traceWith({
    exports: true,
    parentBased: sampler.startsWith('parentbased_'),
    samples: headDecision(sampler, options.ratio ?? 1),
    tracerOf: tracersOf(options.version),
  });
  const wrong = await check();
  if (wrong.length > 0) logger.error({ ...about, wrong }, 'tracing: it does not work in this process');
  watched.probe().then(
    () => logger.info({ ...about, sampler, ratio: options.ratio }, 'tracing: it works'),
    (error: unknown) =>
      logger.warn(
        { ...about, sampler, err: error },
        'tracing: nobody takes the spans yet; nothing else is affected',
      ),
  );
  return {
    exporter: name,
    get spans() {
      return { ...watched.counts, ended: sdk.processor.ended };
    },
    async [Symbol.asyncDispose]() {
      traceWith(undefined);
      await within(FLUSH_MS, sdk.shutdown()).catch((error: unknown) => {
        logger.debug({ err: error }, 'tracing: the last spans did not leave');
      });
      for (const api of [trace, context, propagation, metrics, diag]) api.disable();
    },
  };
}

function exporterOf({ exporter, env }: TelemetryOptions): ExporterName {
  return (
    exporter ?? (env.OTEL_EXPORTER_OTLP_ENDPOINT || env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ? 'otlp' : 'none')
  );
}

/** What is wrong in this process: a span that is not recorded, or is forgotten over an await. */
async function check(): Promise<string[]> {
  const span = new Span('check', { scope: 'telemetry', parent: null, must: true });
  const kept = await span.run(async () => {
    await new Promise(setImmediate);
    return activeSpanContext()?.spanId === span.context.spanId;
  });
  // It is never ended, and so never seen.
  return [
    ...(span.recorded ? [] : ['nothing is recorded']),
    ...(kept ? [] : ['context is lost over an await']),
  ];
}

/** Asking for a tracer costs more than to remember it. */
function tracersOf(version: string): (scope: string) => Tracer {
  const tracers = new Map<string, Tracer>();
  return (scope) => {
    const known = tracers.get(scope);
    if (known) return known;
    const tracer = trace.getTracer(`@tradewind/${scope}`, version);
    tracers.set(scope, tracer);
    return tracer;
  };
}

async function propagate(): Promise<void> {
  const { AsyncLocalStorageContextManager } = await import('@opentelemetry/context-async-hooks');
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
}

/** Where the spans go, for people. */
function endpointOf(name: ExporterName, env: TelemetryOptions['env']): string | undefined {
  switch (name) {
    case 'otlp':
      return maskUrl(
        env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? env.OTEL_EXPORTER_OTLP_ENDPOINT ?? 'http://localhost:4318',
      );
    case 'jaeger':
      return maskUrl(env.OTEL_EXPORTER_JAEGER_ENDPOINT ?? JAEGER);
    default:
      return undefined;
  }
}

/** The SDK's own words are for who looks for them: what matters is said by us. */
function quietly(logger: Logger): DiagLogger {
  const say =
    (level: 'debug' | 'trace') =>
    (...words: unknown[]): void =>
      logger[level]({ opentelemetry: words.map(String).join(' ').slice(0, 1_000) });
  return {
    error: say('debug'),
    warn: say('debug'),
    info: say('trace'),
    debug: () => undefined,
    verbose: () => undefined,
  };
}

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms`)), ms);
  });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}
