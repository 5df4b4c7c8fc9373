import { readFileSync } from 'node:fs';
import { Code, ConnectError } from '@connectrpc/connect';
import { errorBody } from '@tradewind/rpc/http-error';
import { callOf } from '@tradewind/rpc/rest';
import type { Invoke } from '@tradewind/rpc/serve';
import type { Logger } from '@tradewind/telemetry/logger';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { createSchema, createYoga } from 'graphql-yoga';
import { Door } from './door.ts';
import { tellFailures } from './failure.ts';
import { LIMITS, limits } from './limits.ts';
import { playground } from './playground.ts';
import { resolvers } from './resolvers.ts';
import type { StockSource } from './stock-levels.ts';

export interface GraphqlOptions {
  readonly invoke: Invoke;
  readonly stock: StockSource;
  readonly logger: Logger;
}

const typeDefs = readFileSync(new URL('./schema.graphql', import.meta.url), 'utf8');
const ENDPOINTS = ['/graphql', '/query'];

/** GraphQL at `/graphql` and `/query`, its playground at `/`. */
export async function graphql(app: FastifyInstance, options: GraphqlOptions): Promise<void> {
  const yoga = createYoga<{ door: Door }>({
    schema: createSchema({ typeDefs, resolvers }),
    graphqlEndpoint: '/(graphql|query)',
    context: () => ({ said: { stock: false } }),
    plugins: [...limits(), tellFailures(options.logger)],
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
      `http://localhost${request.url}`,
      {
        method: request.method,
        headers: headersOf(request),
        ...(request.method === 'POST' && { body: String(request.body ?? '') }),
      },
      { door },
    );
    for (const [name, value] of response.headers) void reply.header(name, value);
    return reply.code(response.status).send(await response.text());
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
    for (const url of ENDPOINTS) scope.route({ url, method: ['GET', 'POST'], handler: answer });
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

/** A person with a browser, not a query. */
function wantsPage({ query, headers }: FastifyRequest): boolean {
  return !(query as { query?: string }).query && (headers.accept ?? '').includes('text/html');
}

function headersOf({ headers }: FastifyRequest): Record<string, string> {
  const { accept, 'content-type': type } = headers;
  return { ...(accept !== undefined && { accept }), ...(type !== undefined && { 'content-type': type }) };
}

/** What fails before GraphQL gets to see it, in GraphQL's shape. */
function refuse(error: unknown, _request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { status, message } = errorBody(error);
  const code = status >= 500 ? 'INTERNAL' : status === 413 ? 'RESOURCE_EXHAUSTED' : 'INVALID_ARGUMENT';
  return reply.code(status).send({ errors: [{ message, extensions: { code } }] });
}
