import {
  OrderCanceledSchema,
  OrderConfirmedSchema,
  OrderCreatedSchema,
} from '@tradewind/contracts/order/v1/events';
import { OrderService } from '@tradewind/contracts/order/v1/order';
import { StockExceededAmountSchema, StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import { idempotencyChores, idempotencySteps } from '@tradewind/messaging/idempotency';
import { on } from '@tradewind/messaging/subscription';
import { messagingSteps } from '@tradewind/messaging/tables';
import { implement } from '@tradewind/rpc/implement';
import { defineService } from '@tradewind/service/define';
import { settings } from './config.ts';
import { orders } from './migrations/0001-orders.ts';
import { waiting } from './migrations/0002-waiting.ts';
import { cancelForStock } from './on/stock.exceeded-amount.ts';
import { confirmOrder } from './on/stock.reserved.ts';
import { OrderEntity } from './order.ts';
import about from './package.json' with { type: 'json' };
import { orderRoutes } from './rest/orders.ts';
import { cancelOrder } from './rpc/cancel-order.ts';
import { createOrder } from './rpc/create-order.ts';
import { getOrder } from './rpc/get-order.ts';
import { getSaga } from './rpc/get-saga.ts';
import { listOrders } from './rpc/list-orders.ts';
import { pendingSagas, Sagas } from './sagas.ts';
import { sweep } from './sweep.ts';

const { version } = about;

/** The order service's table of contents. */
export const service = defineService({
  name: 'order',
  version,
  settings,
  schema: { entities: [OrderEntity], steps: [...messagingSteps, ...idempotencySteps, orders, waiting] },
  tells: [OrderCreatedSchema, OrderConfirmedSchema, OrderCanceledSchema],
  subscriptions: [on(StockReservedSchema, confirmOrder), on(StockExceededAmountSchema, cancelForStock)],
  routes: (deps) => [
    implement(OrderService, {
      createOrder: createOrder(deps),
      getOrder: getOrder(deps),
      listOrders: listOrders(deps),
      cancelOrder: cancelOrder(deps),
      getSaga: getSaga(deps),
    }),
  ],
  http: () => orderRoutes(version),
  workers: { sweep },
  metrics: [Sagas],
  gauges: [pendingSagas],
  chores: idempotencyChores,
});
