/** Where spans go: OTLP (a Collector, Jaeger), Jaeger's own endpoint, standard output, or nowhere. */
export const EXPORTERS = ['otlp', 'jaeger', 'console', 'none'] as const;
export type ExporterName = (typeof EXPORTERS)[number];

/** The names that OTEL_TRACES_SAMPLER may have (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/). */
export const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;
export type SamplerName = (typeof SAMPLERS)[number];

/** How the span of an event that is handled belongs to the span that told it: below it, or in a trace of its own that names it. */
export const CONSUMER_SPANS = ['child', 'link'] as const;
export type ConsumerSpans = (typeof CONSUMER_SPANS)[number];
