import { once } from 'node:events';
import {
  type Http2Server,
  Http2ServerRequest,
  Http2ServerResponse,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Duplex } from 'node:stream';
import { Code, ConnectError } from '@connectrpc/connect';
import { type ConnectionInjector, Server, ServerCredentials, ServerInterceptingCall } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { UnaryShortcut } from './grpc-call.ts';
import { statusOf } from './grpc-status.ts';
import { streamHandler } from './grpc-stream.ts';
import type { Limits } from './limits.ts';
import { codeName } from './metrics.ts';
import type { Pipeline } from './pipeline.ts';
import type { Route } from './route.ts';

export type HttpHandler = (request: Http2ServerRequest, response: Http2ServerResponse) => void;

/** The gRPC face: grpc-js behind connections that somebody else accepted. */
export class GrpcFace {
  readonly #server: Server;
  readonly #injector: ConnectionInjector;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #unary = new Map<string, boolean>();
  readonly #limits: Limits;
  readonly #logger: Logger;

  /** `http` gets the requests that are no gRPC: Connect, gRPC-Web or REST over HTTP/2. */
  constructor(pipeline: Pipeline, limits: Limits, logger: Logger, http: HttpHandler) {
    this.#limits = limits;
    this.#logger = logger;
    const routes = new Map(pipeline.routes.map((route) => [`/${route.name}`, route]));
    this.#server = new Server({
      'grpc.enable_channelz': 0,
      'grpc.max_receive_message_length': limits.bodyBytes,
      'grpc.max_concurrent_streams': limits.streamsPerConnection,
      'grpc.keepalive_time_ms': limits.pingIntervalMs,
      'grpc.keepalive_timeout_ms': limits.pingTimeoutMs,
      interceptors: [
        ({ path, responseStream, requestStream }, next) => {
          const route = routes.get(path);
          return route === undefined || requestStream || responseStream
            ? new ServerInterceptingCall(next)
            : new UnaryShortcut(next, pipeline, route);
        },
      ],
    });
    for (const route of pipeline.routes) this.#register(pipeline, route);
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    this.#splitStreams(http2ServerOf(this.#server), http);
  }

  /** Takes over a connection that speaks HTTP/2. */
  accept(socket: Duplex): void {
    // HTTP/1.1 servers leave half-closed connections open; in HTTP/2 the other side is gone then, and its calls with it.
    socket.allowHalfOpen = false;
    this.#injector.injectConnection(socket);
  }

  /** Tells clients to open no new calls, then refuses them; calls in flight go on. Resolves when all have ended. */
  async drain(): Promise<void> {
    for (const session of this.#sessions) {
      if (!session.closed && !session.destroyed) session.goaway(0, 0x7fffffff);
    }
    // One round trip: calls that were sent before the GOAWAY arrived are still taken.
    await new Promise((resolve) => setTimeout(resolve, this.#limits.goawayMs));
    const closed = [...this.#sessions].map((session) => {
      if (!session.closed) session.close();
      return session.destroyed ? undefined : once(session, 'close');
    });
    await Promise.all(closed);
  }

  /** Ends all that is left. */
  destroy(): void {
    this.#server.forceShutdown();
    for (const session of this.#sessions) session.destroy();
  }

  #register(pipeline: Pipeline, route: Route): void {
    const path = `/${route.name}`;
    const unary = route.method.methodKind === 'unary';
    this.#unary.set(path, unary);
    if (unary) {
      // The interceptor answers; this is never called.
      this.#server.register(path, nothing, asIs, asIs, 'unary');
    } else if (route.method.methodKind === 'server_streaming') {
      this.#server.register(path, streamHandler(pipeline, route), asIs, asIs, 'serverStream');
    } else {
      this.#server.register(path, streamHandler(pipeline, route), asIs, asIs, 'bidi');
    }
  }

  #splitStreams(http2: Http2Server, http: HttpHandler): void {
    const grpc = http2.listeners('stream') as ((...args: unknown[]) => void)[];
    http2.removeAllListeners('stream');
    http2.on('session', (session) => {
      this.#sessions.add(session);
      session.on('close', () => this.#sessions.delete(session));
      // Without a listener a broken connection would end the process.
      session.on('error', () => {});
    });
    http2.on('stream', (stream, headers, flags, raw: string[]) => {
      if (!isGrpc(headers['content-type'])) {
        http(new Http2ServerRequest(stream, headers, {}, raw), new Http2ServerResponse(stream));
      } else if (this.#admit(stream, headers)) {
        for (const listener of grpc) listener(stream, headers, flags);
      }
    });
  }

  /** Refuses what grpc-js would answer less well, and gives every unary call a deadline, so that slow bodies end too. */
  #admit(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean {
    const path = headers[':path'] ?? '';
    const unary = this.#unary.get(path);
    if (unary === undefined) {
      return this.#refuse(stream, path, new ConnectError(`unknown method ${path}`, Code.Unimplemented));
    }
    const timeout = headers['grpc-timeout'];
    if (timeout === undefined) {
      if (unary) headers['grpc-timeout'] = `${this.#limits.deadlineMs}m`;
      return true;
    }
    const ms = timeoutMs(String(timeout));
    if (ms === undefined) {
      return this.#refuse(stream, path, new ConnectError('grpc-timeout is not valid', Code.InvalidArgument));
    }
    // grpc-js keeps timeouts in 32 bits.
    if (ms > 0x7fffffff) headers['grpc-timeout'] = '2147483S';
    return true;
  }

  #refuse(stream: ServerHttp2Stream, path: string, error: ConnectError): false {
    const { code, details } = statusOf(error);
    stream.on('error', () => {});
    stream.respond(
      {
        ':status': 200,
        'content-type': 'application/grpc+proto',
        'grpc-status': code,
        'grpc-message': encodeURI(details),
      },
      { endStream: true },
    );
    this.#logger.info({ method: path.slice(0, 200), face: 'grpc', code: codeName(code) });
    return false;
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

const unitMs: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

function timeoutMs(header: string): number | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(header);
  const unit = unitMs[match?.[2] ?? ''];
  return unit === undefined ? undefined : Number(match?.[1]) * unit;
}

const asIs = (bytes: Buffer): Buffer => bytes;

const nothing = (): void => {};
