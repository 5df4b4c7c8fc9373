import {
  type Http2Server,
  Http2ServerRequest,
  Http2ServerResponse,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Duplex } from 'node:stream';
import { Code, ConnectError } from '@connectrpc/connect';
import { type ConnectionInjector, Server, ServerCredentials } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { serverSpan, TRACERESPONSE, traceresponse } from './call-span.ts';
import { Peers } from './grpc-peers.ts';
import { refuseStream } from './grpc-refuse.ts';
import { statusHeaders } from './grpc-status.ts';
import { streamHandler } from './grpc-stream.ts';
import { longestMs, longestTimeout, timeoutMs } from './grpc-timeout.ts';
import { answerUnary } from './grpc-unary.ts';
import type { Limits } from './limits.ts';
import { codeName } from './metrics.ts';
import type { Pipeline } from './pipeline.ts';
import type { Route } from './route.ts';

export type HttpHandler = (request: Http2ServerRequest, response: Http2ServerResponse) => void;

/** The gRPC face, behind connections that somebody else accepted: grpc-js, but for unary calls. */
export class GrpcFace {
  readonly #server: Server;
  readonly #injector: ConnectionInjector;
  readonly #peers = new Peers();
  /** The connection that is being accepted; its session comes before this is left. */
  #accepting: Duplex | undefined;
  readonly #routes: ReadonlyMap<string, Route>;
  readonly #pipeline: Pipeline;
  readonly #limits: Limits;
  readonly #logger: Logger;

  /** `http` gets the requests that are no gRPC: Connect, gRPC-Web or REST over HTTP/2. */
  constructor(pipeline: Pipeline, limits: Limits, logger: Logger, http: HttpHandler) {
    this.#pipeline = pipeline;
    this.#limits = limits;
    this.#logger = logger;
    this.#routes = new Map(pipeline.routes.map((route) => [`/${route.name}`, route]));
    this.#server = new Server({
      'grpc.enable_channelz': 0,
      'grpc.max_receive_message_length': limits.bodyBytes,
      'grpc.max_concurrent_streams': limits.streamsPerConnection,
      'grpc.keepalive_time_ms': limits.pingIntervalMs,
      'grpc.keepalive_timeout_ms': limits.pingTimeoutMs,
    });
    for (const [path, route] of this.#routes) {
      const kind = route.method.methodKind === 'server_streaming' ? 'serverStream' : 'bidi';
      if (route.method.methodKind === 'unary') continue;
      this.#server.register(path, streamHandler(pipeline, route), asIs, asIs, kind);
    }
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    this.#splitStreams(http2ServerOf(this.#server), http);
  }

  /** Takes over a connection that speaks HTTP/2. */
  accept(socket: Duplex): void {
    // HTTP/1.1 servers leave half-closed connections open; in HTTP/2 the other side is gone then, and its calls with it.
    socket.allowHalfOpen = false;
    this.#accepting = socket;
    this.#injector.injectConnection(socket);
    this.#accepting = undefined;
  }

  /** Says that `drain` will follow. */
  prepareToDrain(): void {
    this.#peers.prepare();
  }

  /** Tells clients to open no new calls, then refuses them; calls in flight go on. Resolves when all have ended. */
  drain(): Promise<void> {
    return this.#peers.drain(this.#limits.goawayMs);
  }

  /** Ends all that is left. */
  destroy(): void {
    this.#server.forceShutdown();
    this.#peers.destroy();
  }

  #splitStreams(http2: Http2Server, http: HttpHandler): void {
    const grpc = http2.listeners('stream') as ((...args: unknown[]) => void)[];
    http2.removeAllListeners('stream');
    http2.on('session', (session) => {
      this.#peers.add(session, this.#accepting ?? session.socket);
    });
    http2.on('stream', (stream, headers, flags, raw: string[]) => {
      const peer = this.#peers.opened(stream, headers);
      if (!isGrpc(headers['content-type'])) {
        http(new Http2ServerRequest(stream, headers, {}, raw), new Http2ServerResponse(stream));
      } else if (!this.#answered(stream, headers, peer)) {
        for (const listener of grpc) listener(stream, headers, flags);
      }
    });
  }

  /** Answers all but valid streaming calls, which it leaves to grpc-js. */
  #answered(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, peer: string): boolean {
    const path = headers[':path'] ?? '';
    const route = this.#routes.get(path);
    if (route === undefined) {
      return this.#refuse(stream, headers, new ConnectError(`unknown method ${path}`, Code.Unimplemented));
    }
    const timeout = headers['grpc-timeout'];
    const ms = timeout === undefined ? undefined : timeoutMs(String(timeout));
    if (timeout !== undefined && ms === undefined) {
      return this.#refuse(
        stream,
        headers,
        new ConnectError('grpc-timeout is not valid', Code.InvalidArgument),
      );
    }
    if (route.method.methodKind === 'unary') {
      answerUnary(this.#pipeline, this.#limits, route, { stream, headers, peer, timeoutMs: ms });
      return true;
    }
    // grpc-js keeps timeouts in 32 bits.
    if (ms !== undefined && ms > longestMs) headers['grpc-timeout'] = longestTimeout;
    return false;
  }

  #refuse(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, error: ConnectError): true {
    stream.on('error', () => {});
    const path = headers[':path'] ?? '';
    const { traceparent, tracestate } = headers as Record<string, string | undefined>;
    // A name that nobody knows is the caller's invention, and no name for a span.
    const known = this.#routes.get(path)?.name ?? '_OTHER';
    const span = serverSpan(known, 'grpc', { traceparent, tracestate });
    const head = {
      ':status': 200,
      'content-type': 'application/grpc+proto',
      [TRACERESPONSE]: traceresponse(span),
    };
    refuseStream(stream, { ...head, ...statusHeaders(error) });
    span.end({ 'rpc.response.status_code': codeName(error.code) });
    (this.#routes.get(path)?.metrics.grpc ?? this.#pipeline.unknown).observe(error.code, 0);
    const { traceId: trace_id, spanId: span_id } = span.context;
    this.#logger.info({
      method: known,
      face: 'grpc',
      code: codeName(error.code),
      trace_id,
      span_id,
    });
    return true;
  }
}

// grpc-js has no public handle on the HTTP/2 server behind an injector; its version is pinned and tests cover this.
function http2ServerOf(server: Server): Http2Server {
  const { http2Servers } = server as unknown as { http2Servers: Map<Http2Server, unknown> };
  const [http2] = http2Servers.keys();
  if (http2 === undefined) throw new Error('grpc-js keeps its HTTP/2 servers elsewhere now');
  return http2;
}

function isGrpc(contentType: string | undefined): boolean {
  return contentType !== undefined && /^application\/grpc(?:[+;\s]|$)/.test(contentType);
}

const asIs = (bytes: Buffer): Buffer => bytes;
