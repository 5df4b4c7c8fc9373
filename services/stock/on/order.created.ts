import type { OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { StockExceededAmountSchema, StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import type { Publish } from '@tradewind/messaging/outbox';
import type { EventHandler } from '@tradewind/messaging/subscription';
import { lockForEvents, nameOf } from '../events.ts';
import type { Ledger } from '../ledger.ts';
import { addUp, type Reservation } from '../reservation.ts';

/** An order was accepted: its goods are taken for all lines or for none. Asked again, the first answer is repeated. */
export const reserveStock: EventHandler<typeof OrderCreatedSchema, Ledger> = {
  load: lockForEvents,
  apply({ orderId, lines }, ledger, publish) {
    const id = nameOf(orderId);
    answer(ledger.reservation(id) ?? ledger.reserve(id, addUp(lines)), publish);
  },
};

function answer({ orderId, outcome, lines, shortages, revision }: Reservation, publish: Publish): void {
  if (outcome === 'reserved') {
    publish(StockReservedSchema, {
      orderId,
      lines: lines.map(({ productId, quantity }) => ({ productId, quantity: BigInt(quantity) })),
      revision: BigInt(revision),
    });
  }
  if (outcome === 'exceeded') {
    publish(StockExceededAmountSchema, {
      orderId,
      shortages: shortages.map(({ requested, available, ...shortage }) => ({
        ...shortage,
        requested: BigInt(requested),
        available: BigInt(available),
      })),
      revision: BigInt(revision),
    });
  }
  // Released, or canceled before it was created: the order service knows, and waits for nothing.
}
