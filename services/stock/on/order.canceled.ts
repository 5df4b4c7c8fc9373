import type { OrderCanceledSchema } from '@tradewind/contracts/order/v1/events';
import type { EventHandler } from '@tradewind/messaging/subscription';
import { lockForEvents, nameOf } from '../events.ts';
import type { Ledger } from '../ledger.ts';

/** An order does not stand any more: what it took goes back, once. */
export const giveBack: EventHandler<typeof OrderCanceledSchema, Ledger> = {
  load: lockForEvents,
  apply: ({ orderId }, ledger) => ledger.release(nameOf(orderId)),
};
