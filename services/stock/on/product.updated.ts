import type { ProductUpdatedSchema } from '@tradewind/contracts/product/v1/events';
import type { EventHandler } from '@tradewind/messaging/subscription';
import { lockForEvents } from '../events.ts';
import type { Ledger } from '../ledger.ts';

/** A product changed. This may overtake its creation, and then makes it known. */
export const productUpdated: EventHandler<typeof ProductUpdatedSchema, Ledger> = {
  load: lockForEvents,
  apply: ({ productId, revision }, ledger) => ledger.hear(productId, revision, false),
};
