import { OrderCanceledSchema, OrderConfirmedSchema } from '@tradewind/contracts/order/v1/events';
import type { StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import type { EventHandler } from '@tradewind/messaging/subscription';
import { lockOrders, type Orders } from '../orders.ts';

/** Stock has taken the goods: the order stands. */
export const confirmOrder: EventHandler<typeof StockReservedSchema, Orders> = {
  load: lockOrders,
  apply({ orderId }, orders, publish) {
    const order = orders.get(orderId);
    // Goods that are held for nobody have to go back.
    if (!order) {
      orders.settle('unknownOrder');
      return publish(OrderCanceledSchema, { orderId, reason: 'unknown order', revision: 0n });
    }
    // Canceled by the customer meanwhile: stock was told so, and gives the goods back.
    if (!order.confirm()) return;
    orders.settle('confirmed', order);
    publish(OrderConfirmedSchema, { orderId: order.id, revision: BigInt(order.revision) });
  },
};
