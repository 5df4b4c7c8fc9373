import {
  defaultResource,
  envDetector,
  resourceFromAttributes,
  serviceInstanceIdDetector,
} from '@opentelemetry/resources';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { BatchSpanProcessor } from '@opentelemetry/sdk-trace';
import { CountedProcessor, type WatchedExporter } from './exporter.ts';
import { samplerOf } from './sampling.ts';
import type { TelemetryOptions } from './start.ts';
import { ids } from './tracer.ts';

/** Spans that wait for a Collector that is slow or away; older ones stay, newer ones are dropped. About 1 KB each. */
const QUEUE = 16_384;
const EXPORT = 1_024;
const EVERY_MS = 1_000;
/** A batch of events names each of them. */
const LINKS = 1_024;

export interface Sdk {
  readonly processor: CountedProcessor;
  shutdown(): Promise<void>;
}

/** Starts OpenTelemetry's SDK for traces alone. Apart from the rest, for loading it costs half a second. */
export function startSdk(options: TelemetryOptions, exporter: WatchedExporter): Sdk {
  const number = (name: string, otherwise: number) => Number(options.env[name]) || otherwise;
  const queue = number('OTEL_BSP_MAX_QUEUE_SIZE', QUEUE);
  const processor = new CountedProcessor(
    new BatchSpanProcessor({
      exporter,
      maxQueueSize: queue,
      maxExportBatchSize: Math.min(queue, number('OTEL_BSP_MAX_EXPORT_BATCH_SIZE', EXPORT)),
      scheduledDelayMillis: number('OTEL_BSP_SCHEDULE_DELAY', EVERY_MS),
      exportTimeoutMillis: number('OTEL_BSP_EXPORT_TIMEOUT', 10_000),
    }),
  );
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
    spanProcessors: [processor],
    metricReaders: [],
    logRecordProcessors: [],
    instrumentations: [],
  });
  sdk.start();
  return { processor, shutdown: () => sdk.shutdown() };
}
