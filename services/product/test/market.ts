import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { createClient as createTypedClient } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import { ProductService } from '@tradewind/contracts/product/v1/product';
import { StockService } from '@tradewind/contracts/stock/v1/stock';
import { type Handlers, implement } from '@tradewind/rpc/implement';
import { type Server, serve } from '@tradewind/rpc/serve';
import { freePort } from '@tradewind/testing/port';
import { startService, type TestService } from '@tradewind/testing/service';
import { pino } from 'pino';
import { service } from '../service.ts';

/** The product service as it is, beside a stock service or without one. */
export async function startProduct(env: Record<string, string> = {}): Promise<TestService> {
  return await startService(service, { env: { STOCK_URL: `http://127.0.0.1:${await freePort()}`, ...env } });
}

/** A client over each wire protocol, as other programs have them. */
export function clientsOf(baseUrl: string) {
  return {
    grpc: createTypedClient(ProductService, createGrpcTransport({ baseUrl })),
    connect: createTypedClient(ProductService, createConnectTransport({ baseUrl, httpVersion: '1.1' })),
    grpcWeb: createTypedClient(ProductService, createGrpcWebTransport({ baseUrl, httpVersion: '1.1' })),
  };
}
export type ProductClient = ReturnType<typeof clientsOf>['grpc'];

export interface GraphqlAnswer {
  readonly status: number;
  // The shape of `data` is what the query asks for.
  readonly data?: Record<string, unknown> | null;
  readonly errors?: { message: string; path?: (string | number)[]; extensions: Record<string, unknown> }[];
}

/** Posts a query to /graphql. */
export async function ask(
  { url }: { url: string },
  query: string,
  variables?: Record<string, unknown>,
  headers: Record<string, string> = {},
): Promise<GraphqlAnswer> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query, variables }),
  });
  return { status: response.status, ...((await response.json()) as object) };
}

export interface TestStock extends AsyncDisposable {
  readonly server: Server;
  readonly url: string;
  /** The products of each BatchGetStock that came. */
  readonly calls: number[][];
}

const unused = async () => ({});

/** A server of the stock contract that knows so much of each product, and remembers what it was asked. */
export async function serveStock(levels: ReadonlyMap<number, bigint>, port = 0): Promise<TestStock> {
  const calls: number[][] = [];
  const handlers: Handlers<typeof StockService> = {
    getStock: unused,
    listStock: unused,
    listEmptyStock: unused,
    setStock: unused,
    adjustStock: unused,
    async batchGetStock({ productIds }) {
      calls.push(productIds);
      const known = productIds.filter((id) => levels.has(id));
      return { stocks: known.map((productId) => ({ productId, quantity: levels.get(productId) ?? 0n })) };
    },
  };
  const server = await serve({
    name: 'stock',
    version: '0.0.0',
    host: '127.0.0.1',
    port,
    implementations: [implement(StockService, handlers)],
    health: { check: async () => ({ status: 'ready', dependencies: {} }) },
    logger: pino({ level: 'silent' }),
    limits: { drainDelayMs: 0, goawayMs: 10 },
  });
  return { server, url: server.url, calls, [Symbol.asyncDispose]: () => server.close() };
}

/** Somebody who accepts connections and never says a word. */
export async function silence(): Promise<AsyncDisposable & { url: string; connections(): number }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).resume();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  return {
    url: `http://127.0.0.1:${address.port}`,
    connections: () => sockets.size,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
