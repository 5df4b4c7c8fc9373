import { Code, ConnectError } from '@connectrpc/connect';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { Span, SpanContext } from '@tradewind/telemetry/span';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ActiveCall } from './call.ts';
import { innerSpan } from './call-span.ts';
import { requestSpan } from './request-span.ts';

export { problem, renameFields } from './failure.ts';

/** Requests whose calls the pipeline logs, so that the HTTP side need not. */
const invoked = new WeakMap<FastifyRequest, Set<HttpCall>>();

/** Whether the request has been handed on as a call. */
export function isInvoked(request: FastifyRequest): boolean {
  return invoked.has(request);
}

class HttpCall extends ActiveCall {
  readonly #request: FastifyRequest;
  readonly #reply: FastifyReply;

  constructor(request: FastifyRequest, reply: FastifyReply) {
    super('http', `${request.socket.remoteAddress}:${request.socket.remotePort}`, request.id);
    this.#request = request;
    this.#reply = reply;
  }

  header(name: string): string | undefined {
    const value = this.#request.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  override get span(): SpanContext | undefined {
    return super.span ?? requestSpan(this.#request)?.context;
  }

  protected override begin(method: string): Span {
    return innerSpan(method, requestSpan(this.#request));
  }

  setHeader(name: string, value: string): void {
    void this.#reply.header(name, value);
  }
}

/** A call on behalf of an HTTP request, for `invoke`. One request may make several, each gets its own. */
export function callOf(request: FastifyRequest, reply: FastifyReply): ActiveCall {
  const call = new HttpCall(request, reply);
  let calls = invoked.get(request);
  if (calls === undefined) {
    const all = new Set<HttpCall>();
    reply.raw.once('close', () => {
      if (reply.raw.writableFinished) return;
      for (const each of all) each.abort(new ConnectError('canceled by the caller', Code.Canceled));
    });
    invoked.set(request, all);
    calls = all;
  }
  calls.add(call);
  return call;
}

/** Documents the routes that are registered after it, as OpenAPI at `/docs/json` and as pages at `/docs`. */
export async function openapi(
  app: FastifyInstance,
  info: { title: string; version: string; description: string },
): Promise<void> {
  await app.register(swagger, { openapi: { openapi: '3.1.0', info } });
  // Nothing may be fetched from elsewhere: the pages must work on a machine without a network.
  await app.register(swaggerUi, { routePrefix: '/docs', validatorUrl: false });
}
