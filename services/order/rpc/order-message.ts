import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { type OrderSchema, OrderStatus } from '@tradewind/contracts/order/v1/order';
import type { Line, Order } from '../order.ts';

/** The statuses by their names in the database. */
export const statuses = {
  PENDING: OrderStatus.PENDING,
  CONFIRMED: OrderStatus.CONFIRMED,
  CANCELED: OrderStatus.CANCELED,
} as const;

/** What an order consists of, its rules left aside. */
export type OrderRow = Omit<Order, 'confirm' | 'reject' | 'cancel'>;

/** The order as the contract shows it. */
export function orderMessage(order: OrderRow): MessageInitShape<typeof OrderSchema> {
  return {
    id: order.id,
    customerId: order.customerId,
    status: statuses[order.status],
    reason: order.reason,
    lines: order.lines.map(lineMessage),
    totalPrice: BigInt(order.totalPrice),
    currency: order.currency,
    createdAt: timestampFromDate(order.createdAt),
    updatedAt: timestampFromDate(order.updatedAt),
    revision: BigInt(order.revision),
  };
}

/** A line as the contract shows it, in an order and in its events. */
export function lineMessage({ productId, quantity, unitPrice, totalPrice }: Line) {
  const line = { productId, quantity, totalPrice: BigInt(totalPrice) };
  return unitPrice === null ? line : { ...line, unitPrice: BigInt(unitPrice) };
}
