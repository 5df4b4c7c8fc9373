import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { type Code, ConnectError } from '@connectrpc/connect';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import {
  CreateOrderRequestSchema,
  type CreateOrderResponse,
  CreateOrderResponseSchema,
  OrderService,
} from '@tradewind/contracts/order/v1/order';
import type { Placer, PlacerOptions } from './place.ts';
import { acceptedFrom, requestOf } from './place-connect.ts';
import type { PlannedOrder } from './plan.ts';

const path = `/${OrderService.typeName}/${OrderService.method.createOrder.name}`;

/** CreateOrder by gRPC, all calls on one connection. */
export function placeByGrpc({ orderUrl, attemptMs }: PlacerOptions): Placer {
  const { protocol, host } = new URL(orderUrl);
  const secured = protocol === 'https:';
  const client = new Client(host, secured ? credentials.createSsl() : credentials.createInsecure(), {
    'grpc.initial_reconnect_backoff_ms': 50,
    'grpc.max_reconnect_backoff_ms': 1_000,
    // Every attempt that fails is counted here, so none may be hidden below.
    'grpc.enable_retries': 0,
  });
  return {
    place: async (order) => acceptedFrom(await call(client, order, attemptMs)),
    async [Symbol.asyncDispose]() {
      client.close();
    },
  };
}

function call(client: Client, order: PlannedOrder, attemptMs: number): Promise<CreateOrderResponse> {
  const metadata = new Metadata();
  metadata.set('idempotency-key', order.key);
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      (request: PlannedOrder) => Buffer.from(toBinary(CreateOrderRequestSchema, requestOf(request))),
      (bytes) => fromBinary(CreateOrderResponseSchema, bytes),
      order,
      metadata,
      { deadline: Date.now() + attemptMs },
      (error, response) => {
        if (response) return resolve(response);
        const retryAfter = error?.metadata?.get('retry-after')[0];
        reject(
          new ConnectError(
            error?.details ?? 'no answer',
            error?.code as number as Code,
            typeof retryAfter === 'string' ? { 'retry-after': retryAfter } : {},
          ),
        );
      },
    );
  });
}
