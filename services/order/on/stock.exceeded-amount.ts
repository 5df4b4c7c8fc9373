import { OrderCanceledSchema } from '@tradewind/contracts/order/v1/events';
import type { StockExceededAmountSchema, StockShortage } from '@tradewind/contracts/stock/v1/events';
import type { EventHandler } from '@tradewind/messaging/subscription';
import { lockOrders, type Orders } from '../orders.ts';

/** Stock could not fill the order, and took nothing. */
export const cancelForStock: EventHandler<typeof StockExceededAmountSchema, Orders> = {
  load: lockOrders,
  apply({ orderId, shortages }, orders, publish) {
    const order = orders.get(orderId);
    // The customer may have canceled first; then there is nothing left to tell.
    if (!order?.reject(reasonOf(shortages))) return;
    orders.settle(
      shortages.some(({ unknownProduct }) => unknownProduct) ? 'unknownProduct' : 'outOfStock',
      order,
    );
    publish(OrderCanceledSchema, {
      orderId: order.id,
      reason: order.reason,
      revision: BigInt(order.revision),
    });
  },
};

/** Shortages that the reason names; an order of a thousand lines may have as many. */
const NAMED = 5;

function reasonOf(shortages: readonly StockShortage[]): string {
  const named = shortages
    .slice(0, NAMED)
    .map(({ productId, requested, available, unknownProduct }) =>
      unknownProduct
        ? `unknown product ${productId}`
        : `product ${productId}: asked ${requested}, only ${available} left`,
    );
  const more = shortages.length - named.length;
  return named.concat(more > 0 ? `and ${more} more` : []).join('; ');
}
