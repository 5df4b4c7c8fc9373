import { once } from 'node:events';
import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http';
import {
  type AddressInfo,
  createServer as createNetServer,
  type Server as NetServer,
  type Socket,
} from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { Metrics } from '@tradewind/telemetry/metrics';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { connectFace } from './connect.ts';
import { drain, type Parts } from './drain.ts';
import { GrpcFace } from './grpc.ts';
import { type HealthSource, HealthState, healthService } from './health.ts';
import { createApp } from './http.ts';
import type { Implementation } from './implement.ts';
import { defaultLimits, type Limits } from './limits.ts';
import { type Invoke, Pipeline } from './pipeline.ts';
import { createPort, refusedWithoutHost, type Tls } from './port.ts';
import { reflectionServices } from './reflection.ts';
import { warm } from './validate.ts';

export type { HealthReport, HealthSource } from './health.ts';
export type { Limits } from './limits.ts';
export type { Invoke } from './pipeline.ts';

export type ServeOptions = {
  /** The service's name and version, told by `/healthcheck` and `/metrics`. */
  name: string;
  version: string;
  host: string;
  /** 0 takes any free port; `address` says which. */
  port: number;
  /**
   * Lets another process open the same port (Linux only), so that the next one can take over before this one ends. Nothing then
   * tells that a port is taken: a process that was forgotten goes on getting its part of the connections.
   */
  reusePort?: boolean | undefined;
  /** A second port that speaks gRPC only. */
  grpcPort?: number | undefined;
  implementations: readonly Implementation[];
  /** Adds REST and GraphQL routes; `invoke` runs an implemented RPC for them. */
  http?: ((app: FastifyInstance, invoke: Invoke) => Promise<void> | void) | undefined;
  health: HealthSource;
  /** What `/metrics` tells, and where calls are counted; of this server alone when left out. */
  metrics?: Metrics | undefined;
  logger: Logger;
  /** PEM. All faces speak TLS then, on both ports. */
  tls?: Tls | undefined;
  limits?: Partial<Limits> | undefined;
  /** Aborting it is like `close()`. */
  signal?: AbortSignal | undefined;
};

export interface Server extends AsyncDisposable {
  readonly address: { readonly host: string; readonly port: number };
  readonly grpcAddress: { readonly host: string; readonly port: number } | undefined;
  /** `http://127.0.0.1:3000` */
  readonly url: string;
  /** Says "not ready", goes on for a moment, lets calls in flight end, stops. Safe to call again. */
  close(): Promise<void>;
  /** Resolves when the server has stopped, whoever stopped it. */
  readonly closed: Promise<void>;
}

/** Serves every face on one port. Rejects when the port can't be had. */
export async function serve(options: ServeOptions): Promise<Server> {
  const { implementations, logger, host } = options;
  const limits = { ...defaultLimits, ...options.limits };
  for (const { service } of implementations) warm(service);

  const { metrics = new Metrics(options.name) } = options;
  const health = new HealthState(options.health);
  const pipeline = new Pipeline({
    implementations: withStandard(implementations, health),
    logger,
    metrics,
    deadlineMs: limits.deadlineMs,
  });
  let handle = (_request: IncomingMessage, _response: ServerResponse): void => {};
  const grpc = new GrpcFace(pipeline, limits, logger, (request, response) =>
    handle(request as unknown as IncomingMessage, response as unknown as ServerResponse),
  );
  const port = createPort({ limits, tls: options.tls, onHttp2: (socket) => grpc.accept(socket) });
  const app = createApp({
    server: port.server,
    version: options.version,
    health,
    metrics,
    limits,
    logger,
  });
  await options.http?.(app, pipeline.invoke);
  await app.ready();

  const connect = connectFace(pipeline, limits, logger, metrics);
  handle = (request, response) => {
    if (refusedWithoutHost(request, response)) return;
    if (health.draining && request.httpVersionMajor === 1) response.setHeader('connection', 'close');
    if (!connect(request, response)) app.routing(request, response);
  };
  port.server.on('request', handle);

  const sockets = trackSockets(port.server);
  const reusePort = options.reusePort ?? false;
  await listen(port.server, { host, port: options.port, reusePort });
  const grpcPort = options.grpcPort === undefined ? undefined : createGrpcPort(grpc, options.tls, limits);
  try {
    if (grpcPort) await listen(grpcPort, { host, port: options.grpcPort ?? 0, reusePort });
  } catch (error) {
    port.server.close();
    throw error;
  }

  return running(options, { logger, limits, health, pipeline, grpc, app, port, grpcPort, sockets });
}

/** The given services and those that every server has, which tell of all of them. */
function withStandard(implementations: readonly Implementation[], health: HealthState): Implementation[] {
  const names = implementations.map(({ service }) => service.typeName);
  const own = [...implementations, healthService(health, names)];
  return [...own, ...reflectionServices(own.map(({ service }) => service))];
}

function trackSockets(server: HttpServer): Set<Socket> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  return sockets;
}

function createGrpcPort(grpc: GrpcFace, tls: Tls | undefined, limits: Limits): NetServer {
  if (tls === undefined) return createNetServer((socket) => grpc.accept(socket));
  const server = createTlsServer(
    { ...tls, minVersion: 'TLSv1.2', handshakeTimeout: limits.peekMs, ALPNProtocols: ['h2'] },
    (socket) => grpc.accept(socket),
  );
  // Also when the handshake takes too long, which by itself ends nothing.
  server.on('tlsClientError', (_, socket) => socket.destroy());
  return server;
}

async function listen(
  server: NetServer,
  address: { host: string; port: number; reusePort: boolean },
): Promise<void> {
  server.listen(address);
  await once(server, 'listening');
}

function addressOf(server: NetServer): { host: string; port: number } {
  const { address, port } = server.address() as AddressInfo;
  return { host: address, port };
}

function running(options: ServeOptions, parts: Parts): Server {
  const { port, grpcPort } = parts;
  const { logger, signal } = options;
  const address = addressOf(port.server);
  const grpcAddress = grpcPort && addressOf(grpcPort);
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  const url = `${options.tls ? 'https' : 'http'}://${host}:${address.port}`;
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  let closing = false;
  const close = () => {
    if (!closing) {
      closing = true;
      signal?.removeEventListener('abort', close);
      drain(parts)
        .catch((err: unknown) => logger.error({ err }, 'the server did not stop cleanly'))
        .finally(resolve);
    }
    return closed;
  };
  logger.info({ url, grpc_port: grpcAddress?.port }, 'serving');
  logger.warn(
    { host: address.host },
    'there is no authentication yet: let nobody reach this port who may not do everything',
  );
  if (signal?.aborted) void close();
  else signal?.addEventListener('abort', close, { once: true });
  return { address, grpcAddress, url, close, closed, [Symbol.asyncDispose]: close };
}
