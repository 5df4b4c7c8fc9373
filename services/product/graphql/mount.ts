import { readFileSync } from 'node:fs';
import { STATUS_CODES } from 'node:http';
import { Code, ConnectError } from '@connectrpc/connect';
import { errorBody } from '@tradewind/rpc/http-error';
import { callOf } from '@tradewind/rpc/rest';
import type { Invoke } from '@tradewind/rpc/serve';
import type { Logger } from '@tradewind/telemetry/logger';
import type { Metrics } from '@tradewind/telemetry/metrics';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { createSchema, createYoga } from 'graphql-yoga';
import { Door } from './door.ts';
import { tellFailures } from './failure.ts';
import { LIMITS, limits } from './limits.ts';
import { GraphqlMetrics } from './measure.ts';
import { playground } from './playground.ts';
import { resolvers } from './resolvers.ts';
import type { StockSource } from './stock-levels.ts';

export interface GraphqlOptions {
  readonly invoke: Invoke;
  readonly stock: StockSource;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

const typeDefs = readFileSync(new URL('./schema.graphql', import.meta.url), 'utf8');
const ENDPOINT = '/graphql';
const METHODS = ['GET', 'HEAD', 'POST'];
const NOT_ACCEPTED = 'accept must allow application/json or application/graphql-response+json';

/** GraphQL at `/graphql` and `/query`, its playground at `/`. */
export async function graphql(app: FastifyInstance, options: GraphqlOptions): Promise<void> {
  const measures = options.metrics.of(GraphqlMetrics);
  const measured = {
    ...resolvers,
    Query: measures.measured('Query', resolvers.Query),
    Mutation: measures.measured('Mutation', resolvers.Mutation),
  };
  const yoga = createYoga<{ door: Door }>({
    schema: createSchema({ typeDefs, resolvers: measured }),
    graphqlEndpoint: ENDPOINT,
    context: () => ({ said: { stock: false } }),
    plugins: [...limits(), measures.plugin(), tellFailures(options.logger)],
    batching: { limit: LIMITS.batch },
    // Errors are masked by tellFailures, pages of other origins have no business here, and the rest is Fastify's.
    maskedErrors: false,
    cors: false,
    multipart: false,
    graphiql: false,
    landingPage: false,
    logging: false,
    maxRequestBodySize: false,
  });

  const answer = async (request: FastifyRequest, reply: FastifyReply) => {
    if (request.method === 'GET' && wantsPage(request)) return reply.redirect('/');
    const door = new Door({
      invoke: options.invoke,
      call: () => callOf(request, reply),
      stock: options.stock,
      maxCost: LIMITS.cost,
    });
    const response = await yoga.fetch(
      `http://localhost${ENDPOINT}${searchOf(request.url)}`,
      {
        method: request.method,
        headers: headersOf(request),
        ...(request.method === 'POST' && { body: String(request.body ?? '') }),
      },
      { door },
    );
    return send(response, reply);
  };

  await app.register((scope, _options, done) => {
    scope.removeAllContentTypeParsers();
    // As text, for the parser of GraphQL is yoga's. No other type: a form of another page could send those without asking.
    scope.addContentTypeParser(
      ['application/json', 'application/graphql+json'],
      { parseAs: 'string' },
      (_, body, done) => done(isJson(String(body)) ? null : notJson, body),
    );
    scope.setErrorHandler(refuse);
    const others = scope.supportedMethods.filter((method) => !METHODS.includes(method));
    for (const url of [ENDPOINT, '/query']) {
      scope.route({ url, method: ['GET', 'POST'], handler: answer });
      // Before any body is read.
      scope.route({ url, method: others, onRequest: refuseMethod, handler: refuseMethod });
    }
    done();
  });
  playground(app);
}

/** GraphQL over HTTP says 400 for a body that is not JSON, whatever the answer's media type; yoga would say 200. */
const notJson = new ConnectError('the body is not JSON', Code.InvalidArgument);

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** The address's query, from its question mark on. */
function searchOf(url: string): string {
  const start = url.indexOf('?');
  return start === -1 ? '' : url.slice(start);
}

/** A person with a browser, not a query. */
function wantsPage({ query, headers }: FastifyRequest): boolean {
  return !(query as { query?: string }).query && (headers.accept ?? '').includes('text/html');
}

function headersOf({ headers }: FastifyRequest): Record<string, string> {
  const { accept, 'content-type': type } = headers;
  return { ...(accept !== undefined && { accept }), ...(type !== undefined && { 'content-type': type }) };
}

/** Yoga refuses some things without a word: then the words are put here. */
async function send(response: Response, reply: FastifyReply): Promise<FastifyReply> {
  const { status, headers } = response;
  const text = await response.text();
  if (text === '' && status >= 400) {
    return tell(status, status === 406 ? NOT_ACCEPTED : (STATUS_CODES[status] ?? 'refused'), reply);
  }
  for (const [name, value] of headers) void reply.header(name, value);
  return reply.code(status).send(text);
}

/** What fails before GraphQL gets to see it, in GraphQL's shape. */
function refuse(error: unknown, _request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { status, message } = errorBody(error);
  return tell(status, message, reply);
}

/** Before any body is read. */
async function refuseMethod({ method }: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  return tell(405, `${method} is not allowed here`, reply.header('allow', METHODS.join(', ')));
}

function tell(status: number, message: string, reply: FastifyReply): FastifyReply {
  const code = status >= 500 ? 'INTERNAL' : status === 413 ? 'RESOURCE_EXHAUSTED' : 'INVALID_ARGUMENT';
  return reply.code(status).send({ errors: [{ message, extensions: { code } }] });
}
