import { context, type DiagLogger, diag, metrics, propagation, type Tracer, trace } from '@opentelemetry/api';
import { JAEGER, openExporter, type SpanCounts, WatchedExporter } from './exporter.ts';
import type { Logger } from './logger.ts';
import { maskUrl } from './mask.ts';
import { ids, traceWith } from './tracer.ts';
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

const NOTHING: SpanCounts = { exported: 0, failed: 0 };
/** How long the last spans may take to leave. */
const FLUSH_MS = 2_000;
/** Spans that wait for a Collector that is slow or away; older ones stay, newer ones are dropped. About 1 KB each. */
const QUEUE = 16_384;
const EXPORT = 1_024;
const EVERY_MS = 1_000;
/** A batch of events names each of them. */
const LINKS = 1_024;

/**
 * Starts tracing for the whole process, and says in the log whether it works; a Collector that is away is no reason to wait. Without an exporter
 * work still has trace ids, in its logs, answers and events, but nothing is recorded.
 */
export async function startTelemetry(options: TelemetryOptions): Promise<Telemetry> {
  const { logger, env } = options;
  const name = exporterOf(options);
  if (name === 'none') {
    await propagate();
    traceWith({ exports: false, parentBased: true, tracerOf: (scope) => trace.getTracer(scope) });
    logger.info({ exporter: 'none' }, 'tracing: ids only, nothing is recorded');
    return {
      exporter: name,
      spans: NOTHING,
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
  const sdk = await startSdk(options, watched);
  const { sampler = 'parentbased_always_on' } = options;
  traceWith({
    exports: true,
    parentBased: sampler.startsWith('parentbased_'),
    tracerOf: tracersOf(options.version),
  });
  const spans = ['calls', 'statements', 'facts', 'relay', 'events'];
  watched.probe().then(
    () => logger.info({ ...about, sampler, ratio: options.ratio, spans }, 'tracing: it works'),
    (error: unknown) =>
      logger.warn(
        { ...about, sampler, err: error },
        'tracing: nobody takes the spans yet; nothing else is affected',
      ),
  );
  return {
    exporter: name,
    get spans() {
      return watched.counts;
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

async function startSdk(options: TelemetryOptions, exporter: WatchedExporter) {
  const { NodeSDK } = await import('@opentelemetry/sdk-node');
  const { BatchSpanProcessor } = await import('@opentelemetry/sdk-trace');
  const { defaultResource, envDetector, resourceFromAttributes, serviceInstanceIdDetector } = await import(
    '@opentelemetry/resources'
  );
  const { samplerOf } = await import('./sampling.ts');
  const number = (name: string, otherwise: number) => Number(options.env[name]) || otherwise;
  const queue = number('OTEL_BSP_MAX_QUEUE_SIZE', QUEUE);
  const sdk = new NodeSDK({
    resource: defaultResource().merge(
      resourceFromAttributes({
        'service.namespace': 'tradewind',
        'service.name': options.service,
        'service.version': options.version,
      }),
    ),
    // Command lines and users' names are nobody's business.
    resourceDetectors: [envDetector, serviceInstanceIdDetector],
    sampler: samplerOf(options.sampler ?? 'parentbased_always_on', options.ratio ?? 1),
    idGenerator: ids,
    spanLimits: { linkCountLimit: LINKS, attributeValueLengthLimit: 4_096 },
    spanProcessors: [
      new BatchSpanProcessor({
        exporter,
        maxQueueSize: queue,
        maxExportBatchSize: Math.min(queue, number('OTEL_BSP_MAX_EXPORT_BATCH_SIZE', EXPORT)),
        scheduledDelayMillis: number('OTEL_BSP_SCHEDULE_DELAY', EVERY_MS),
        exportTimeoutMillis: number('OTEL_BSP_EXPORT_TIMEOUT', 10_000),
      }),
    ],
    metricReaders: [],
    logRecordProcessors: [],
    instrumentations: [],
  });
  sdk.start();
  return sdk;
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
