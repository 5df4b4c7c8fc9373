import type { DescService } from '@bufbuild/protobuf';
import {
  type CallOptions,
  createClient as createTypedClient,
  type Client as TypedClient,
} from '@connectrpc/connect';
import { credentials, Client as GrpcClient } from '@grpc/grpc-js';
import type { Metrics } from '@tradewind/telemetry/metrics';
import { traceContextOf } from '@tradewind/telemetry/trace-context';
import type { Call } from './call.ts';
import { measureCalls } from './client-metrics.ts';
import { grpcTransport } from './grpc-transport.ts';
import { Retry, type RetryOptions } from './retry.ts';

export type ClientOptions = {
  /** `http://127.0.0.1:50051` for plaintext, `https://…` for TLS. */
  baseUrl: string;
  /** PEM of the authority to trust instead of the system's. */
  ca?: string | Buffer | undefined;
  /** Milliseconds for a unary call with all its retries, when the call does not say; default 5,000. */
  timeoutMs?: number | undefined;
  retry?: Partial<RetryOptions> | undefined;
  /**
   * Milliseconds that a unary call waits for a connection while the server is away; then it is UNAVAILABLE. Nothing has been sent by
   * then, so that is no retry. Never more than four fifths of its deadline, which is the default: a restart takes a second or two.
   */
  waitMs?: number | undefined;
  /** Where unary calls are counted. */
  metrics?: Metrics | undefined;
};

/** A typed client of one service, over gRPC, on one connection that is made when needed and made again when lost. */
export interface Client<S extends DescService> extends AsyncDisposable {
  /** One function a method. Errors are ConnectErrors with their details. A stream goes on until its `signal` aborts. */
  readonly call: TypedClient<S>;
  close(): Promise<void>;
}

/**
 * A client of `service`. Unary calls have a deadline, and wait for a server that restarts. UNAVAILABLE is tried again, for methods that the contract marks as
 * idempotent or free of side effects, and for calls with an `idempotency-key` header.
 */
export function createClient<S extends DescService>(service: S, options: ClientOptions): Client<S> {
  const url = new URL(options.baseUrl);
  const secure = url.protocol === 'https:';
  const channel = new GrpcClient(
    `${url.hostname}:${url.port || (secure ? 443 : 80)}`,
    secure
      ? credentials.createSsl(options.ca ? Buffer.from(options.ca) : null)
      : credentials.createInsecure(),
    {
      // Pings notice a server that is gone without a word; only while calls are open.
      'grpc.keepalive_time_ms': 20_000,
      'grpc.keepalive_timeout_ms': 5_000,
      // A restarting server is back in a second or two: keep asking.
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.min_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1_000,
      'grpc.max_receive_message_length': 64 * 1024 * 1024,
      'grpc.enable_http_proxy': 0,
      // Two clients of one server should not share the fate of one connection's budget of streams.
      'grpc.use_local_subchannel_pool': 1,
    },
  );
  const patience = {
    timeoutMs: options.timeoutMs ?? 5_000,
    waitMs: options.waitMs ?? Number.POSITIVE_INFINITY,
  };
  const measure = options.metrics && measureCalls(options.metrics);
  const transport = grpcTransport(channel, new Retry(options.retry), patience, measure);
  const close = async () => channel.close();
  return { call: createTypedClient(service, transport), close, [Symbol.asyncDispose]: close };
}

function contextHeaders({ span }: Call): Record<string, string> {
  const { traceparent, tracestate } = span ? traceContextOf(span) : {};
  return { ...(traceparent && { traceparent }), ...(tracestate && { tracestate }) };
}

/** Options for a call made to answer another: the same request id, its trace, what is left of its deadline, and its end. */
export function onBehalfOf(call: Call, timeoutMs = Number.POSITIVE_INFINITY): CallOptions {
  const left = Math.min(timeoutMs, call.timeoutMs() ?? Number.POSITIVE_INFINITY);
  return {
    signal: call.signal,
    headers: { 'x-request-id': call.requestId, ...contextHeaders(call) },
    ...(Number.isFinite(left) && { timeoutMs: left }),
  };
}
