import { OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { type Fact, factOf } from '@tradewind/messaging/event';
import { lineMessage, type OrderRow } from './rpc/order-message.ts';

/** The fact that an order was accepted; each time it is made it has an id of its own. */
export function orderCreated({
  id,
  customerId,
  lines,
  totalPrice,
  currency,
  revision,
}: Pick<OrderRow, 'id' | 'customerId' | 'lines' | 'totalPrice' | 'currency' | 'revision'>): Fact {
  return factOf(OrderCreatedSchema, {
    orderId: id,
    customerId,
    lines: lines.map(lineMessage),
    totalPrice: BigInt(totalPrice),
    currency,
    revision: BigInt(revision),
  });
}
