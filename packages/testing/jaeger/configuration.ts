/** The ports of a Jaeger, all of 127.0.0.1. */
export interface JaegerPorts {
  /** Its API, and its page where it has one. */
  readonly query: number;
  /** The same API by gRPC. */
  readonly queryGrpc: number;
  readonly otlpHttp: number;
  readonly otlpGrpc: number;
  /** Jaeger's own format, Thrift over HTTP. */
  readonly thrift: number;
}

/**
 * Jaeger's configuration: traces in memory, nothing else that could be had. Without a batch processor, for a client that is told "taken"
 * can ask for its spans at once. Its own requests are no traces: they would stand between those that one looks for.
 */
export function configuration(ports: JaegerPorts, healthPort: number, maxTraces: number): string {
  const at = (port: number) => `{ endpoint: '127.0.0.1:${port}' }`;
  return `service:
  extensions: [jaeger_storage, jaeger_query, healthcheckv2]
  pipelines:
    traces:
      receivers: [otlp, jaeger]
      exporters: [jaeger_storage_exporter]
  telemetry:
    metrics: { level: none }
    logs: { level: info }

extensions:
  jaeger_storage:
    backends:
      memory:
        memory: { max_traces: ${maxTraces} }
  jaeger_query:
    storage: { traces: memory }
    enable_tracing: false
    http: ${at(ports.query)}
    grpc: ${at(ports.queryGrpc)}
  healthcheckv2:
    use_v2: true
    http: ${at(healthPort)}

receivers:
  otlp:
    protocols:
      http: ${at(ports.otlpHttp)}
      grpc: ${at(ports.otlpGrpc)}
  jaeger:
    protocols:
      thrift_http: ${at(ports.thrift)}

exporters:
  jaeger_storage_exporter: { trace_storage: memory }
`;
}
