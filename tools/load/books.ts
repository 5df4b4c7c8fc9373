import type { Timestamp } from '@bufbuild/protobuf/wkt';
import { type CallOptions, type Client, createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { type Order, OrderService, OrderStatus } from '@tradewind/contracts/order/v1/order';
import { ProductService } from '@tradewind/contracts/product/v1/product';
import { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import { StockService } from '@tradewind/contracts/stock/v1/stock';
import { untilAnswered } from './until-answered.ts';

/** Where the services answer, as URLs. */
export interface Addresses {
  readonly orderUrl: string;
  readonly productUrl: string;
  readonly stockUrl: string;
  /** Left out where nobody is to be asked about ratings. */
  readonly ratingsUrl?: string | undefined;
}

export const defaultAddresses: Addresses = {
  orderUrl: 'http://127.0.0.1:3000',
  productUrl: 'http://127.0.0.1:8080',
  stockUrl: 'http://127.0.0.1:50051',
};
export const defaultRatingsUrl = 'http://127.0.0.1:8082';

/** What the services say about themselves, by their public calls. */
export interface Books {
  readonly orders: Client<typeof OrderService>;
  readonly products: Client<typeof ProductService>;
  readonly stock: Client<typeof StockService>;
  readonly ratings?: Client<typeof RatingsService>;
  /** Repeats a call until it is answered. Only for calls that change nothing, or that carry an idempotency key. */
  ask<T>(call: (options: CallOptions) => Promise<T>): Promise<T>;
}

export interface BooksOptions extends Addresses {
  readonly signal?: AbortSignal | undefined;
  /** How long a service may be away before that is an error. */
  readonly patienceMs: number;
}

/** A page of a thousand orders takes some time on a busy machine. */
const attemptMs = 20_000;

export function openBooks({
  orderUrl,
  productUrl,
  stockUrl,
  ratingsUrl,
  signal,
  patienceMs,
}: BooksOptions): Books {
  const transport = (baseUrl: string) =>
    createConnectTransport({ baseUrl, httpVersion: '1.1', acceptCompression: [] });
  const options: CallOptions = { timeoutMs: attemptMs, ...(signal ? { signal } : {}) };
  return {
    orders: createClient(OrderService, transport(orderUrl)),
    products: createClient(ProductService, transport(productUrl)),
    stock: createClient(StockService, transport(stockUrl)),
    ...(ratingsUrl !== undefined && { ratings: createClient(RatingsService, transport(ratingsUrl)) }),
    ask: (call) => untilAnswered(() => call(options), { signal, patienceMs }),
  };
}

const pageSize = 1_000;

/** Every item of a paged list. */
export async function* paged<T>(page: (pageToken: string) => Promise<{ items: T[]; nextPageToken: string }>) {
  let pageToken = '';
  do {
    const { items, nextPageToken } = await page(pageToken);
    yield* items;
    pageToken = nextPageToken;
  } while (pageToken !== '');
}

/** What an audit wants to know of an order. */
export interface OrderEntry {
  readonly id: string;
  readonly customerId: string;
  readonly status: OrderStatus;
  readonly reason: string;
  readonly revision: number;
  readonly lines: readonly { productId: number; quantity: number; totalPrice: number }[];
  readonly totalPrice: number;
  readonly currency: string;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

/** The newest first. */
export function listOrders(
  { orders, ask }: Books,
  status: OrderStatus = OrderStatus.UNSPECIFIED,
): AsyncGenerator<OrderEntry> {
  return paged(async (pageToken) => {
    const answer = await ask((options) => orders.listOrders({ pageSize, pageToken, status }, options));
    return { items: answer.orders.map(entryOf), nextPageToken: answer.nextPageToken };
  });
}

function entryOf(order: Order): OrderEntry {
  return {
    id: order.id,
    customerId: order.customerId,
    status: order.status,
    reason: order.reason,
    revision: Number(order.revision),
    lines: order.lines.map(({ productId, quantity, totalPrice }) => ({
      productId,
      quantity,
      totalPrice: Number(totalPrice),
    })),
    totalPrice: Number(order.totalPrice),
    currency: order.currency,
    createdAtMs: millisecondsOf(order.createdAt),
    updatedAtMs: millisecondsOf(order.updatedAt),
  };
}

/** Milliseconds since 1970, with fractions; NaN when there is none. */
export function millisecondsOf(timestamp: Timestamp | undefined): number {
  return timestamp ? Number(timestamp.seconds) * 1_000 + timestamp.nanos / 1e6 : Number.NaN;
}

/** What there is of one product, in pieces. */
export interface StockEntry {
  readonly productId: number;
  readonly quantity: number;
  readonly putIn: number;
}

/** In product order, deleted products too: orders may hold pieces of them. */
export function listStock({ stock, ask }: Books): AsyncGenerator<StockEntry> {
  return paged(async (pageToken) => {
    const { stocks, nextPageToken } = await ask((options) =>
      stock.listStock({ pageSize, pageToken, includeDeleted: true }, options),
    );
    const items = stocks.map(({ productId, quantity, putIn }) => ({
      productId,
      quantity: Number(quantity),
      putIn: Number(putIn),
    }));
    return { items, nextPageToken };
  });
}

/** The ids of the catalogue's products, ascending. */
export async function readCatalogue({ products, ask }: Books): Promise<number[]> {
  const ids = paged(async (pageToken) => {
    const answer = await ask((options) => products.listProducts({ pageSize, pageToken }, options));
    return { items: answer.products.map(({ id }) => id), nextPageToken: answer.nextPageToken };
  });
  return (await Array.fromAsync(ids)).sort((a, b) => a - b);
}
