import type { Server as NetServer, Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { GrpcFace } from './grpc.ts';
import type { HealthState } from './health.ts';
import type { Limits } from './limits.ts';
import type { Pipeline } from './pipeline.ts';
import type { Port } from './port.ts';

/** What a running server is made of, as far as stopping it goes. */
export type Parts = {
  logger: Logger;
  limits: Limits;
  health: HealthState;
  pipeline: Pipeline;
  grpc: GrpcFace;
  app: FastifyInstance;
  port: Port;
  grpcPort: NetServer | undefined;
  sockets: Set<Socket>;
};

/**
 * Stops a server: says that it is not ready, goes on for a moment, lets calls in flight end, closes. Streams are ended, and
 * so is what takes longer than it may.
 */
export async function drain({
  logger,
  limits,
  health,
  pipeline,
  grpc,
  app,
  port,
  grpcPort,
  sockets,
}: Parts): Promise<void> {
  health.drain();
  grpc.prepareToDrain();
  logger.info({ in_flight: pipeline.inFlight }, 'draining');
  await new Promise((resolve) => setTimeout(resolve, limits.drainDelayMs));

  // Stops listening and ends HTTP/1.1 connections that rest; those in use end with their answer.
  const stopped = [port.server, grpcPort].map(
    (server) => server && new Promise((resolve) => server.close(resolve)),
  );
  // Those that were asked to stay open before the server knew that it would go.
  const sweep = setInterval(() => port.server.closeIdleConnections(), 50);
  pipeline.endStreams();
  const late = setTimeout(() => {
    logger.warn({ in_flight: pipeline.inFlight }, 'calls did not end in time');
    grpc.destroy();
    for (const socket of sockets) socket.destroy();
  }, limits.drainMs);
  await port.endUndecided(limits.goawayMs);
  await grpc.drain();
  await Promise.all(stopped);
  clearTimeout(late);
  clearInterval(sweep);
  grpc.destroy();
  await app.close();
  pipeline.flush();
  logger.info('stopped');
}
