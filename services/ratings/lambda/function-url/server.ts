import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Logger } from '@tradewind/telemetry/logger';
import { type HttpAnswer, httpAnswer } from './answer.ts';
import { eventOf, type FunctionUrlEvent } from './event.ts';

export interface FunctionUrlOptions {
  readonly handler: (event: FunctionUrlEvent) => Promise<unknown>;
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly logger: Logger;
}

export interface FunctionUrl extends AsyncDisposable {
  readonly port: number;
}

/** AWS' limit on what goes into a function, and on what comes out of it, as JSON. */
export const PAYLOAD_BYTES = 6 * 1024 * 1024;
/** Longer than load balancers and clients keep their connections. */
const TIMES = { keepAliveTimeout: 65_000, headersTimeout: 10_000, requestTimeout: 30_000 };
/** For requests in flight, once no more are taken. */
const DRAIN_MS = 3_000;

/**
 * Serves a function over HTTP as an AWS Lambda function URL does, whatever the path. Event and result go through JSON, as they do there. Disposing
 * it takes no more requests and waits for those in flight, 3 s at most.
 */
export async function serveFunction({
  handler,
  host,
  port,
  logger,
}: FunctionUrlOptions): Promise<FunctionUrl> {
  let stopping = false;
  const respond = async (request: IncomingMessage, response: ServerResponse) => {
    const began = performance.now();
    const requestId = randomUUID();
    const answer = await answerTo(request, requestId, handler, logger);
    // Or its connection would be kept, and this server with it.
    if (stopping) response.setHeader('connection', 'close');
    send(request, response, requestId, answer, logger);
    const duration_ms = Math.round(performance.now() - began);
    const { statusCode: status } = response;
    logger.debug({ request_id: requestId, method: request.method, status, duration_ms }, 'answered');
  };
  const server = createServer(TIMES, (request, response) => void respond(request, response));
  const drain = drainOf(server);
  server.listen(port, host);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      stopping = true;
      await drain();
    },
  };
}

/** Ends a server once those in flight are answered. It closes idle connections by itself, but for those on which nothing was asked yet. */
function drainOf(server: Server): () => Promise<void> {
  const silent = new Set<Socket>();
  server.on('request', ({ socket }: IncomingMessage) => silent.delete(socket));
  server.on('connection', (socket: Socket) => {
    silent.add(socket);
    socket.once('close', () => silent.delete(socket));
  });
  return async () => {
    server.close();
    for (const socket of silent) socket.destroy();
    const late = setTimeout(() => server.closeAllConnections(), DRAIN_MS);
    await once(server, 'close');
    clearTimeout(late);
  };
}

async function answerTo(
  request: IncomingMessage,
  requestId: string,
  handler: FunctionUrlOptions['handler'],
  logger: Logger,
): Promise<HttpAnswer> {
  const at = new Date();
  try {
    const body = await bodyOf(request);
    if (body === undefined) return tooLarge();
    const event = JSON.stringify(eventOf(request, { requestId, at, body }));
    if (Buffer.byteLength(event) > PAYLOAD_BYTES) return tooLarge();
    const result = JSON.stringify((await handler(JSON.parse(event) as FunctionUrlEvent)) ?? null);
    if (Buffer.byteLength(result) > PAYLOAD_BYTES)
      throw new Error(`the result has more than ${PAYLOAD_BYTES} bytes`);
    return httpAnswer(JSON.parse(result));
  } catch (error) {
    // Who left in the middle of a request has no use for an answer.
    if (request.errored === null) logger.error({ err: error, request_id: requestId }, 'the function failed');
    return failed();
  }
}

/** Undefined when it is larger than any event may be. It is read to its end all the same, or the caller would see a broken connection. */
async function bodyOf(request: IncomingMessage): Promise<Buffer | undefined> {
  let chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > PAYLOAD_BYTES) chunks = [];
    else chunks.push(chunk);
  }
  return bytes > PAYLOAD_BYTES ? undefined : Buffer.concat(chunks);
}

function send(
  { method }: IncomingMessage,
  response: ServerResponse,
  requestId: string,
  { status, headers, body }: HttpAnswer,
  logger: Logger,
): void {
  try {
    response.writeHead(status, {
      ...headers,
      ...(status !== 204 && status !== 304 && { 'content-length': Buffer.byteLength(body) }),
      'x-amzn-requestid': requestId,
    });
    response.end(method === 'HEAD' || status === 204 || status === 304 ? undefined : body);
  } catch (error) {
    // A header that HTTP does not allow.
    logger.error({ err: error, request_id: requestId }, 'the function failed');
    const { status, headers, body } = failed();
    response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) }).end(body);
  }
}

function failed(): HttpAnswer {
  return {
    status: 502,
    headers: { 'content-type': 'text/plain' },
    body: 'Internal Server Error',
  };
}

function tooLarge(): HttpAnswer {
  const Message = `Request must be smaller than ${PAYLOAD_BYTES} bytes for the InvokeFunction operation`;
  return {
    status: 413,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ Message }),
  };
}
