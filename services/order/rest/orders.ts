import { Code, ConnectError } from '@connectrpc/connect';
import { type Order, OrderService } from '@tradewind/contracts/order/v1/order';
import { callOf, openapi, renameFields } from '@tradewind/rpc/rest';
import type { Invoke } from '@tradewind/rpc/serve';
import type { FastifyInstance } from 'fastify';
import { prefersText } from './accept.ts';
import {
  type NewOrderJson,
  newOrderMessage,
  newOrderSchema,
  orderJson,
  orderSchema,
  type StatusName,
  shortFormFields,
  statuses,
  statusMessage,
} from './order-json.ts';
import { byId, failure, invalid, unknown } from './route-schema.ts';
import { showSaga } from './saga.ts';

const methods = OrderService.method;
const idempotent = {
  type: 'object',
  properties: {
    'Idempotency-Key': {
      type: 'string',
      description:
        '1 to 255 printable ASCII characters. A repeat within 24 hours gives the first answer again and changes nothing.',
    },
  },
} as const;
const keyReused = failure('The Idempotency-Key was used for another request.');

/** The REST face: the same calls as by RPC, the same code. */
export function orderRoutes(version: string) {
  return async (app: FastifyInstance, invoke: Invoke): Promise<void> => {
    await openapi(app, {
      title: 'Tradewind orders',
      version,
      description: 'Places orders and tells how they stand.',
    });
    placeOrder(app, invoke);
    showOrder(app, invoke);
    listOrders(app, invoke);
    cancelOrder(app, invoke);
    showSaga(app, invoke);
  };
}

function placeOrder(app: FastifyInstance, invoke: Invoke): void {
  const created = {
    description: 'The order, with status PENDING; `Order created` for a client that prefers text/plain.',
    headers: { location: { type: 'string', description: 'Path of the order.' } },
    content: { 'application/json': { schema: orderSchema }, 'text/plain': { schema: { type: 'string' } } },
  };
  const schema = {
    summary: 'Places an order',
    headers: idempotent,
    body: newOrderSchema,
    response: { 201: created, 400: invalid, 409: keyReused },
  };
  app.post<{ Body: NewOrderJson }>('/api/v1/orders', { schema }, async (request, reply) => {
    const short = request.body.lines === undefined;
    const call = invoke(methods.createOrder, newOrderMessage(request.body), callOf(request, reply));
    const { order } = await call.catch((error: unknown) => {
      throw short ? renameFields(error, shortFormFields) : error;
    });
    const { id } = known(order);
    void reply.code(201).header('location', `/api/v1/orders/${id}`).header('vary', 'accept');
    if (prefersText(request.headers.accept))
      return reply.type('text/plain; charset=utf-8').send('Order created');
    return reply.type('application/json; charset=utf-8').send(orderJson(known(order)));
  });
}

function showOrder(app: FastifyInstance, invoke: Invoke): void {
  const schema = {
    summary: 'Gives one order',
    params: byId,
    response: { 200: orderSchema, 400: invalid, 404: unknown },
  };
  app.get<{ Params: { id: string } }>('/api/v1/orders/:id', { schema }, async (request, reply) => {
    const { order } = await invoke(methods.getOrder, request.params, callOf(request, reply));
    return orderJson(known(order));
  });
}

interface ListQuery {
  readonly page_size?: number;
  readonly page_token?: string;
  readonly status?: StatusName;
  readonly customer_id?: string;
}

function listOrders(app: FastifyInstance, invoke: Invoke): void {
  const schema = {
    summary: 'Gives orders page by page, the newest first',
    querystring: {
      type: 'object',
      properties: {
        page_size: { type: 'integer', minimum: 1, maximum: 1_000, default: 100 },
        page_token: { type: 'string', maxLength: 256, description: '`next_page_token` of the page before.' },
        status: { type: 'string', enum: statuses },
        customer_id: { type: 'string', maxLength: 128 },
      },
    },
    response: {
      200: {
        type: 'object',
        required: ['orders', 'next_page_token'],
        properties: {
          orders: { type: 'array', items: orderSchema },
          next_page_token: { type: 'string', description: 'Empty at the end.' },
        },
      },
      400: invalid,
    },
  };
  app.get<{ Querystring: ListQuery }>('/api/v1/orders', { schema }, async (request, reply) => {
    const { page_size = 0, page_token = '', status, customer_id = '' } = request.query;
    const wanted = {
      pageSize: page_size,
      pageToken: page_token,
      customerId: customer_id,
      ...(status && { status: statusMessage(status) }),
    };
    const { orders, nextPageToken } = await invoke(methods.listOrders, wanted, callOf(request, reply));
    return { orders: orders.map(orderJson), next_page_token: nextPageToken };
  });
}

function cancelOrder(app: FastifyInstance, invoke: Invoke): void {
  const schema = {
    summary: 'Cancels an order; its goods go back. The second time changes nothing',
    headers: idempotent,
    params: byId,
    response: { 200: orderSchema, 400: invalid, 404: unknown, 409: keyReused },
  };
  app.post<{ Params: { id: string } }>('/api/v1/orders/:id/cancel', { schema }, async (request, reply) => {
    const { order } = await invoke(methods.cancelOrder, request.params, callOf(request, reply));
    return orderJson(known(order));
  });
}

/** Every answer of these calls has its order. */
function known(order: Order | undefined): Order {
  if (!order) throw new ConnectError('the answer has no order', Code.Internal);
  return order;
}
