import { Agent } from 'node:http';
import { Code, ConnectError, createClient as createTypedClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { OrderService } from '@tradewind/contracts/order/v1/order';
import { ProductService } from '@tradewind/contracts/product/v1/product';
import { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import { StockService } from '@tradewind/contracts/stock/v1/stock';
import { createClient } from '@tradewind/rpc/client';
import { Pool } from 'undici';
import type { Addresses } from '../load/books.ts';
import { untilAnswered } from '../load/until-answered.ts';

/** One client on connections of its own, as long as it lives. */
export interface Caller extends AsyncDisposable {
  /** Places an order under a key; gives its id. */
  create(key: string): Promise<string>;
  /** Rates the talk under a key; gives the rating's id. */
  rate(key: string, value: number): Promise<string>;
  /** Calls that change nothing, by the service that answers them. */
  readonly reads: Readonly<Record<string, (orderId: string) => Promise<unknown>>>;
}

export interface CallerOptions extends Addresses {
  readonly ratingsUrl: string;
  /** How long a call may take with all its repetitions, milliseconds. */
  readonly deadlineMs: number;
  /** Told of each attempt that is repeated. */
  readonly onRetry: () => void;
}

export const callers: Readonly<Record<string, (options: CallerOptions) => Caller>> = {
  gRPC: callByGrpc,
  Connect: callByConnect,
  REST: callByRest,
};

/** What is rated. */
export const TALK = 'flight-of-the-gopher';
const customerId = 'rolling';
const order = { customerId, lines: [{ productId: 1, quantity: 1, unitPrice: 100n }] };

/** As Tradewind's own services call each other: what is repeated, and when, is the client's matter. */
function callByGrpc({ orderUrl, productUrl, stockUrl, ratingsUrl, deadlineMs }: CallerOptions): Caller {
  const scope = new AsyncDisposableStack();
  const timeoutMs = deadlineMs;
  const orders = scope.use(createClient(OrderService, { baseUrl: orderUrl, timeoutMs })).call;
  const products = scope.use(createClient(ProductService, { baseUrl: productUrl, timeoutMs })).call;
  const stocks = scope.use(createClient(StockService, { baseUrl: stockUrl, timeoutMs })).call;
  const ratings = scope.use(createClient(RatingsService, { baseUrl: ratingsUrl, timeoutMs })).call;
  return {
    create: async (key) => idOf(await orders.createOrder(order, { headers: { 'idempotency-key': key } })),
    async rate(key, value) {
      const headers = { 'idempotency-key': key };
      return (await ratings.rateTalk({ talkId: TALK, value }, { headers })).ratingId;
    },
    reads: {
      order: (id) => orders.getOrder({ id }),
      product: () => products.getProduct({ id: 1 }),
      stock: () => stocks.getStock({ productId: 1 }),
      ratings: () => ratings.getTalkStatistics({ talkId: TALK }),
    },
    [Symbol.asyncDispose]: () => scope.disposeAsync(),
  };
}

/** JSON over HTTP/1.1 by the stock client, which repeats nothing; so its caller does. */
function callByConnect(options: CallerOptions): Caller {
  const { orderUrl, productUrl, stockUrl, ratingsUrl, deadlineMs, onRetry } = options;
  const agent = new Agent({ keepAlive: true });
  const transport = (baseUrl: string) =>
    createConnectTransport({ baseUrl, httpVersion: '1.1', useBinaryFormat: false, nodeOptions: { agent } });
  const orders = createTypedClient(OrderService, transport(orderUrl));
  const products = createTypedClient(ProductService, transport(productUrl));
  const stocks = createTypedClient(StockService, transport(stockUrl));
  const ratings = createTypedClient(RatingsService, transport(ratingsUrl));
  const ask = <T>(call: () => Promise<T>) => untilAnswered(call, { patienceMs: deadlineMs, onRetry });
  const limit = { timeoutMs: deadlineMs };
  const under = (key: string) => ({ ...limit, headers: { 'idempotency-key': key } });
  return {
    create: async (key) => idOf(await ask(() => orders.createOrder(order, under(key)))),
    rate: async (key, value) =>
      (await ask(() => ratings.rateTalk({ talkId: TALK, value }, under(key)))).ratingId,
    reads: {
      order: (id) => ask(() => orders.getOrder({ id }, limit)),
      product: () => ask(() => products.getProduct({ id: 1 }, limit)),
      stock: () => ask(() => stocks.getStock({ productId: 1 }, limit)),
      ratings: () => ask(() => ratings.getTalkStatistics({ talkId: TALK }, limit)),
    },
    async [Symbol.asyncDispose]() {
      agent.destroy();
    },
  };
}

/** Orders by REST and products by GraphQL. */
function callByRest({ orderUrl, productUrl, ratingsUrl, deadlineMs, onRetry }: CallerOptions): Caller {
  const limits = { connections: 1, bodyTimeout: deadlineMs, headersTimeout: deadlineMs };
  const orders = new Pool(orderUrl, limits);
  const products = new Pool(productUrl, limits);
  const ratings = new Pool(ratingsUrl, limits);
  const ask = <T>(call: () => Promise<T>) => untilAnswered(call, { patienceMs: deadlineMs, onRetry });
  const body = JSON.stringify({
    customer_id: customerId,
    product_id: 1,
    total_quantity: 1,
    total_price: 100,
  });
  const query = JSON.stringify({ query: '{ products(first: 1) { id name } }' });
  return {
    async create(key) {
      const headers = { 'idempotency-key': key };
      const { id } = await ask(() => json(orders, 'POST', '/api/v1/orders', body, headers));
      return String(id);
    },
    async rate(key, value) {
      const rating = JSON.stringify({ talkId: TALK, value });
      const { id } = await ask(() => json(ratings, 'POST', '/ratings', rating, { 'idempotency-key': key }));
      return String(id);
    },
    reads: {
      order: (id) => ask(() => json(orders, 'GET', `/api/v1/orders/${id}`)),
      ratings: () => ask(() => json(ratings, 'GET', `/ratings?talkId=${TALK}`)),
      product: () =>
        ask(async () => {
          const { errors } = await json(products, 'POST', '/graphql', query);
          if (errors !== undefined) throw new ConnectError(JSON.stringify(errors), Code.FailedPrecondition);
        }),
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([orders, products, ratings].map((pool) => pool.close()));
    },
  };
}

/** @throws ConnectError that says whether to ask again: lost connections and 5xx, nothing else */
async function json(
  pool: Pool,
  method: 'GET' | 'POST',
  path: string,
  body: string | null = null,
  headers: Record<string, string> = {},
): Promise<Record<string, unknown>> {
  const answer = await pool
    .request({ method, path, body, headers: { ...headers, 'content-type': 'application/json' } })
    .then(async ({ statusCode, body: stream }) => ({ statusCode, text: await stream.text() }))
    .catch((error: unknown) => {
      throw new ConnectError(String(error), Code.Unavailable, undefined, undefined, error);
    });
  const { statusCode, text } = answer;
  if (statusCode >= 300)
    throw new ConnectError(text, statusCode >= 500 ? Code.Unavailable : Code.FailedPrecondition);
  return JSON.parse(text) as Record<string, unknown>;
}

function idOf(answer: { order?: { id: string } | undefined }): string {
  if (!answer.order) throw new ConnectError('an answer without an order', Code.DataLoss);
  return answer.order.id;
}
