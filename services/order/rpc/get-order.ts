import { Code, ConnectError } from '@connectrpc/connect';
import type { OrderService } from '@tradewind/contracts/order/v1/order';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { Order } from '../order.ts';
import { orderMessage } from './order-message.ts';

/** Gives one order. */
export function getOrder({
  database,
}: Pick<ServiceDeps, 'database'>): Handler<typeof OrderService.method.getOrder> {
  return async ({ id }) => {
    const order = await database.read().findOne(Order, { id });
    if (!order) throw unknownOrder(id);
    return { order: orderMessage(order) };
  };
}

/** NOT_FOUND for an order that was never placed. */
export function unknownOrder(id: string): ConnectError {
  return new ConnectError(`there is no order ${id}`, Code.NotFound);
}
