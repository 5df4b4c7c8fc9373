import { isUtf8 } from 'node:buffer';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import AjvCompiler from '@fastify/ajv-compiler';
import type { Metrics } from '@tradewind/telemetry/metrics';
import type { Span } from '@tradewind/telemetry/span';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import type { Logger } from 'pino';
import { requestIdFrom } from './call.ts';
import type { HealthState } from './health.ts';
import { rawError, sendError, traceIdOf } from './http-error.ts';
import { measureRoutes } from './http-metrics.ts';
import type { Limits } from './limits.ts';
import { onlyDigits, type Validate } from './query-numbers.ts';
import { beginRequest, requestSpan, traceRequests } from './request-span.ts';
import { isInvoked } from './rest.ts';

export type AppOptions = {
  server: Server;
  version: string;
  health: HealthState;
  metrics: Metrics;
  limits: Limits;
  logger: Logger;
};

/** Fastify behind a server that somebody else made, with what every service answers, and the contract's errors. */
export function createApp(options: AppOptions): FastifyInstance {
  const { server, limits, logger } = options;
  const app = Fastify({
    serverFactory: () => server,
    loggerInstance: logger as FastifyBaseLogger,
    // A child logger a request would cost more than the rest of Fastify.
    childLoggerFactory: () => logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: limits.bodyBytes,
    genReqId: (request) => requestIdFrom(one(request.headers['x-request-id'])),
    schemaController: { compilersFactory: { buildValidator } },
    routerOptions: { maxParamLength: 1_024, ignoreTrailingSlash: true },
    clientErrorHandler,
    frameworkErrors: (error, request, reply) => {
      refuseUnrouted(error, request as FastifyRequest, reply as unknown as FastifyReply, logger);
    },
  });
  acceptOnlyJson(app);
  traceRequests(app, probes);
  measureRoutes(app, options.metrics);
  addHooks(app, options);
  refuseUnknown(app);
  app.setErrorHandler(sendError);
  addProbes(app, options);
  return app;
}

function one(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}

const ajv = AjvCompiler();

type Compiled = ReturnType<ReturnType<typeof ajv>>;

// A body says what its types are, so "1" is no number there; a query or a path can't.
const buildValidator: AjvCompiler.BuildCompilerFromPool = (schemas, options) => {
  const shared = {
    ...options?.customOptions,
    removeAdditional: false,
    allErrors: true,
    keywords: ['example'],
  };
  const strict = ajv(schemas, { customOptions: { ...shared, coerceTypes: false } });
  const coercing = ajv(schemas, { customOptions: { ...shared, coerceTypes: 'array' } });
  return (route) => {
    const { httpPart, schema } = route as { httpPart?: string; schema: unknown };
    return httpPart === 'body'
      ? strict(route)
      : (onlyDigits(schema, coercing(route) as Validate) as Compiled);
  };
};

function acceptOnlyJson(app: FastifyInstance): void {
  // Names that poison a prototype are fields that nobody knows, like any other.
  const parse = app.getDefaultJsonParser('remove', 'remove');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    const refused = refusedBody(request, body as Buffer);
    if (refused) done(refused);
    // A POST without arguments may say that its nothing is JSON.
    else if (body.length === 0) done(null, undefined);
    else void parse(request, body.toString(), done);
  });
}

/** Why a body can't be read as the JSON that it says it is; undefined when it can. */
function refusedBody({ headers }: FastifyRequest, body: Buffer): Error | undefined {
  const encoding = headers['content-encoding']?.trim().toLowerCase() ?? '';
  if (encoding !== '' && encoding !== 'identity')
    return refusal(415, 'Compressed requests are not supported');
  const charset = /;\s*charset\s*=\s*"?([^\s;"]*)/i.exec(headers['content-type'] ?? '')?.[1] ?? 'utf-8';
  if (!/^(utf-?8|us-ascii)$/i.test(charset)) return refusal(415, 'The charset of JSON is UTF-8');
  return isUtf8(body) ? undefined : refusal(400, 'The body is not UTF-8');
}

function refusal(statusCode: number, message: string): Error {
  return Object.assign(new Error(message), { statusCode });
}

function addHooks(app: FastifyInstance, { health, logger }: AppOptions): void {
  app.addHook('onRequest', (request, reply, done) => {
    void reply.header('x-request-id', request.id);
    // A balancer should bring the next request to somebody who stays.
    if (health.draining) void reply.header('connection', 'close');
    done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    if (!isInvoked(request)) {
      // A path that no route has is the caller's own; there may be anything in it.
      const { url = 'unmatched' } = request.routeOptions;
      const line = {
        method: `${request.method} ${url}`,
        face: 'http',
        status: reply.statusCode,
        duration_ms: Math.round(reply.elapsedTime * 1e3) / 1e3,
        request_id: request.id,
        peer: `${request.socket.remoteAddress}:${request.socket.remotePort}`,
        ...idsOf(requestSpan(request)),
      };
      if (probes.has(url ?? '')) logger.debug(line);
      else logger.info(line);
    }
    done();
  });
}

const idsOf = (span: Span | undefined) =>
  span && { trace_id: span.context.traceId, span_id: span.context.spanId };

const probes: ReadonlySet<string> = new Set(['/healthcheck', '/health/live', '/health/ready', '/metrics']);

/** A path that can't be read never gets to routes and hooks. Its answer does not repeat it. */
function refuseUnrouted(
  { statusCode = 400 }: { statusCode?: number },
  request: FastifyRequest,
  reply: FastifyReply,
  logger: Logger,
): void {
  const ids = idsOf(beginRequest(request, reply));
  void reply.header('x-request-id', request.id);
  const message = statusCode === 414 ? 'The path is too long' : 'The path is not valid';
  void sendError(refusal(statusCode, message), request, reply);
  const method = `${request.method} unmatched`;
  logger.info({ method, face: 'http', status: statusCode, request_id: request.id, ...ids });
}

function addProbes(app: FastifyInstance, { version, health, metrics }: AppOptions): void {
  app.get('/healthcheck', () => `OK v${version}`);
  app.get('/health/live', () => ({ status: 'live' }));
  app.get('/health/ready', async (_, reply) => {
    const report = await health.report();
    return reply.code(report.status === 'unavailable' ? 503 : 200).send(report);
  });
  app.get('/metrics', async (_, reply) =>
    reply.type('text/plain; version=0.0.4; charset=utf-8').send(await metrics.text()),
  );
}

/** 404 for a path that no route has, 405 with Allow for a method that the path's routes don't have. */
function refuseUnknown(app: FastifyInstance): void {
  const routes: { pattern: RegExp; methods: string[] }[] = [];
  app.addHook('onRoute', ({ url, method }) => {
    routes.push({ pattern: patternOf(url), methods: [method].flat() });
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const allowed = new Set(
      routes.filter(({ pattern }) => pattern.test(path)).flatMap(({ methods }) => methods),
    );
    const status = allowed.size > 0 ? 405 : 404;
    if (status === 405) void reply.header('allow', [...allowed].sort().join(', '));
    const message = status === 405 ? `${request.method} is not allowed here` : 'There is nothing here.';
    return reply.code(status).send({ status, message, details: [], ...traceIdOf(request) });
  });
}

function patternOf(url: string): RegExp {
  const source = url
    .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
    .replace(/:[^/]+/g, '[^/]+')
    .replaceAll('*', '.*');
  return new RegExp(`^${source}/?$`);
}

type ClientError = Error & { code?: string };
type ErrorSocket = {
  writable: boolean;
  destroyed: boolean;
  end(data: string): void;
  destroy(error?: Error): void;
};

function clientErrorHandler(error: ClientError, socket: ErrorSocket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const { _httpMessage: answering } = socket as { _httpMessage?: ServerResponse<IncomingMessage> };
  // In the middle of an answer, another one would only be taken for a part of it.
  if (!socket.writable || answering?.headersSent) {
    socket.destroy(error);
    return;
  }
  socket.end(rawError(statusOf[error.code ?? ''] ?? 400));
  // Time to read it, but no longer: the other side may keep its half open, or never have shaken hands.
  setTimeout(() => socket.destroy(), 500).unref();
}

const statusOf: Record<string, number> = { ERR_HTTP_REQUEST_TIMEOUT: 408, HPE_HEADER_OVERFLOW: 431 };
