import { LOG_LEVELS } from '@tradewind/telemetry/logger';
import { CONSUMER_SPANS, EXPORTERS, SAMPLERS } from '@tradewind/telemetry/tracing-options';

/** How one value of the environment is read. Made by the functions of this file. */
export interface Setting<T> {
  /** What the value must be, as it reads after "must be". */
  readonly rule: string;
  /** The value that a text stands for, or undefined when the rule is broken. */
  readonly parse: (text: string) => T | undefined;
  /** Used when nothing is given; a setting without it is required. */
  readonly fallback?: { readonly value: T };
  /** Never shown, and taken from the environment only. */
  readonly secret?: boolean;
}

function setting<T>(rule: string, parse: Setting<T>['parse'], fallback: T | undefined): Setting<T> {
  return { rule, parse, ...(fallback === undefined ? {} : { fallback: { value: fallback } }) };
}

/** Any text that is not empty. */
export function text(fallback?: string): Setting<string> {
  return setting('a text that is not empty', (value) => value || undefined, fallback);
}

export function integer({
  min = 0,
  max = Number.MAX_SAFE_INTEGER,
  fallback,
}: {
  min?: number;
  max?: number;
  fallback?: number;
} = {}) {
  const parse = (value: string) => {
    const number = /^-?\d+$/.test(value) ? Number(value) : Number.NaN;
    return number >= min && number <= max ? number : undefined;
  };
  return setting(`a whole number from ${min} to ${max}`, parse, fallback);
}

/** A TCP port; 0 lets the system choose. */
export function port(fallback?: number): Setting<number> {
  return {
    ...integer({ max: 65_535, ...(fallback === undefined ? {} : { fallback }) }),
    rule: 'a port, 0 to 65535',
  };
}

export function flag(fallback?: boolean): Setting<boolean> {
  const meaning = new Map([
    ...['true', '1', 'yes', 'on'].map((word) => [word, true] as const),
    ...['false', '0', 'no', 'off'].map((word) => [word, false] as const),
  ]);
  return setting('true or false', (value) => meaning.get(value.toLowerCase()), fallback);
}

export function oneOf<const T extends string>(choices: readonly T[], fallback?: NoInfer<T>): Setting<T> {
  return setting<T>(
    `one of ${choices.join(', ')}`,
    (value) => choices.find((choice) => choice === value),
    fallback,
  );
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A span of time such as `250ms`, `10s`, `5m`, `24h`, `7d`; a plain number is milliseconds. Gives milliseconds. */
export function duration(fallback?: string): Setting<number> {
  const parse = (value: string) => {
    const [, amount, unit = 'ms'] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(value) ?? [];
    return amount === undefined ? undefined : Math.round(Number(amount) * (UNITS[unit] ?? 1));
  };
  const value = fallback === undefined ? undefined : parse(fallback);
  if (fallback !== undefined && value === undefined) throw new TypeError(`not a duration: ${fallback}`);
  return setting('a duration such as 250ms, 10s, 5m or 24h', parse, value);
}

export interface UrlRule {
  /** Without the colon: `postgres`. Any when left out. */
  readonly protocols?: readonly string[];
  readonly fallback?: string;
}

/** An absolute URL, as it was given. */
export function url({ protocols, fallback }: UrlRule = {}): Setting<string> {
  const parse = (value: string) => {
    if (!URL.canParse(value)) return undefined;
    return !protocols || protocols.includes(new URL(value).protocol.slice(0, -1)) ? value : undefined;
  };
  return setting(
    protocols ? `a URL that begins with ${protocols.map((p) => `${p}://`).join(' or ')}` : 'a URL',
    parse,
    fallback,
  );
}

/** Several values, separated by commas. */
export function list<T>(item: Setting<T>, fallback?: readonly T[]): Setting<readonly T[]> {
  const parse = (value: string) => {
    const parts = value.split(',').map((part) => item.parse(part.trim()));
    const parsed = parts.filter((part) => part !== undefined);
    return parsed.length === parts.length ? parsed : undefined;
  };
  return setting<readonly T[]>(`a list separated by commas, each ${item.rule}`, parse, fallback);
}

/** A setting that may be absent; then it is undefined. */
export function optional<T>(inner: Setting<T>): Setting<T | undefined> {
  return { ...inner, fallback: { value: undefined } };
}

/** Marks a setting as secret: masked wherever it is shown, and never read from a file. */
export function secret<T>(inner: Setting<T>): Setting<T> {
  return { ...inner, secret: true };
}

/** A PostgreSQL connection string; secret, for it carries a password. */
export function postgresUrl(fallback?: string): Setting<string> {
  return secret(
    url({ protocols: ['postgres', 'postgresql'], ...(fallback === undefined ? {} : { fallback }) }),
  );
}

/** Where the event log is: a PostgreSQL connection string, or `kafka://[user:password@]host:9092[,host…][?…]`; secret, for it carries a password. */
export function eventLogUrl(): Setting<string> {
  const kafka = /^kafkas?:\/\/(?:[^@/?#\s]*@)?[^@/?#,\s]+(?:,[^@/?#,\s]+)*\/?(?:\?[^#\s]*)?$/;
  const postgres = postgresUrl();
  return secret(
    setting(
      'a URL that begins with postgres:// or postgresql:// or kafka:// or kafkas://',
      (value) => (kafka.test(value) ? value : postgres.parse(value)),
      undefined,
    ),
  );
}

/** What names the event log; spread by whatever opens it. The parameters of a Kafka URL win over the rest. */
export const eventLogSettings = {
  EVENT_LOG_URL: eventLogUrl(),
  KAFKA_SASL: optional(oneOf(['plain', 'scram-sha-256', 'scram-sha-512'])),
  KAFKA_USERNAME: optional(text()),
  KAFKA_PASSWORD: optional(secret(text())),
  /** PEM files: whom to trust, and who this is. */
  KAFKA_CA: optional(text()),
  KAFKA_CERT: optional(text()),
  KAFKA_KEY: optional(text()),
  /** Of topics that are not there yet. */
  KAFKA_PARTITIONS: optional(integer({ min: 1, max: 10_000 })),
  KAFKA_REPLICATION: optional(integer({ min: 1, max: 100 })),
  KAFKA_COMPRESSION: optional(oneOf(['none', 'gzip', 'snappy', 'lz4', 'zstd'])),
  /** How long a consumer that gives no sign of life keeps its partitions. */
  KAFKA_SESSION: optional(duration()),
};

/** A share of a whole. */
export function ratio(fallback?: number): Setting<number> {
  const parse = (value: string) => {
    const number = /^\d*\.?\d+$/.test(value) ? Number(value) : Number.NaN;
    return number >= 0 && number <= 1 ? number : undefined;
  };
  return setting('a number from 0 to 1', parse, fallback);
}

/** How a process traces. The rest of OpenTelemetry's variables (headers, certificates, timeouts) is read by its exporters. */
export const tracingSettings = {
  OTEL_SDK_DISABLED: flag(false),
  /** Where spans go; otlp where an endpoint is given, else none, when left out. */
  OTEL_TRACES_EXPORTER: optional(oneOf(EXPORTERS)),
  OTEL_EXPORTER_OTLP_ENDPOINT: optional(url({ protocols: ['http', 'https'] })),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: optional(url({ protocols: ['http', 'https'] })),
  OTEL_EXPORTER_OTLP_PROTOCOL: optional(oneOf(['grpc', 'http/protobuf', 'http/json'])),
  OTEL_EXPORTER_JAEGER_ENDPOINT: optional(url({ protocols: ['http', 'https'] })),
  /** Milliseconds, and spans. */
  OTEL_EXPORTER_OTLP_TIMEOUT: optional(integer({ min: 1 })),
  OTEL_BSP_SCHEDULE_DELAY: optional(integer({ min: 1 })),
  OTEL_BSP_EXPORT_TIMEOUT: optional(integer({ min: 1 })),
  OTEL_BSP_MAX_QUEUE_SIZE: optional(integer({ min: 1 })),
  OTEL_BSP_MAX_EXPORT_BATCH_SIZE: optional(integer({ min: 1 })),
  OTEL_TRACES_SAMPLER: oneOf(SAMPLERS, 'parentbased_always_on'),
  OTEL_TRACES_SAMPLER_ARG: ratio(1),
  /** Whether the spans of handled events hang under those that told them, or have traces of their own that link to them. */
  TRACE_CONSUMERS: oneOf(CONSUMER_SPANS, 'child'),
};

/** What every service of Tradewind takes; spread it among the service's own settings. */
export const serviceSettings = {
  HOST: text('127.0.0.1'),
  LOG_LEVEL: oneOf(LOG_LEVELS, 'info'),
  SHUTDOWN: duration('10s'),
  DATABASE_URL: postgresUrl(),
  ...eventLogSettings,
  ...tracingSettings,
};
