import type { OrderCanceled, OrderCreated } from '@tradewind/contracts/order/v1/events';
import type { ProductCreated, ProductDeleted, ProductUpdated } from '@tradewind/contracts/product/v1/events';
import type { EntityManager } from '@tradewind/database/database';
import { type Ledger, lockLedger } from './ledger.ts';

type Heard = OrderCreated | OrderCanceled | ProductCreated | ProductUpdated | ProductDeleted;

/** Locks what a batch of events needs, whatever they tell of: all handlers share it, so it is locked in one order. */
export async function lockForEvents(events: readonly Heard[], em: EntityManager): Promise<Ledger> {
  const orderIds = new Set<string>();
  const canceled = new Set<string>();
  const products: number[] = [];
  for (const event of events) {
    if ('orderId' in event) orderIds.add(nameOf(event.orderId));
    if (event.$typeName === 'tradewind.order.v1.OrderCanceled') canceled.add(nameOf(event.orderId));
    else if (event.$typeName === 'tradewind.order.v1.OrderCreated')
      products.push(...event.lines.map(({ productId }) => productId));
    else products.push(event.productId);
  }
  return await lockLedger(em, [...orderIds], (reservations) => [
    ...products,
    ...reservations
      .filter(({ orderId, outcome }) => outcome === 'reserved' && canceled.has(orderId))
      .flatMap(({ lines }) => lines.map(({ productId }) => productId)),
  ]);
}

/** An order's id as it is stored. Producers may write a UUID in capitals. */
export function nameOf(orderId: string): string {
  return orderId.toLowerCase();
}
