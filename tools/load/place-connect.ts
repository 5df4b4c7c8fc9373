import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import {
  CreateOrderRequestSchema,
  type CreateOrderResponse,
  OrderService,
} from '@tradewind/contracts/order/v1/order';
import { millisecondsOf } from './books.ts';
import type { Accepted, Placer, PlacerOptions } from './place.ts';
import type { PlannedOrder } from './plan.ts';

/** CreateOrder by Connect, as JSON over HTTP/1.1. */
export function placeByConnect({ orderUrl, clients, attemptMs }: PlacerOptions): Placer {
  const Agent = orderUrl.startsWith('https:') ? HttpsAgent : HttpAgent;
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  const stopped = new AbortController();
  const { createOrder } = createClient(
    OrderService,
    createConnectTransport({
      baseUrl: orderUrl,
      httpVersion: '1.1',
      useBinaryFormat: false,
      nodeOptions: { agent },
      acceptCompression: [],
    }),
  );
  return {
    async place(order) {
      const options = {
        timeoutMs: attemptMs,
        signal: stopped.signal,
        headers: { 'idempotency-key': order.key },
      };
      return acceptedFrom(await createOrder(requestOf(order), options));
    },
    async [Symbol.asyncDispose]() {
      stopped.abort();
      agent.destroy();
    },
  };
}

export function requestOf({ customerId, productId, quantity, totalPrice }: PlannedOrder) {
  return create(CreateOrderRequestSchema, {
    customerId,
    lines: [{ productId, quantity, totalPrice: BigInt(totalPrice) }],
  } satisfies MessageInitShape<typeof CreateOrderRequestSchema>);
}

export function acceptedFrom({ order }: CreateOrderResponse): Accepted {
  if (!order?.createdAt) throw new ConnectError('an answer without an order', Code.DataLoss);
  return { id: order.id, createdAtMs: millisecondsOf(order.createdAt) };
}
