import type { ProductCreatedSchema } from '@tradewind/contracts/product/v1/events';
import type { EventHandler } from '@tradewind/messaging/subscription';
import { lockForEvents } from '../events.ts';
import type { Ledger } from '../ledger.ts';

/** A product is in the catalogue: stock knows it, with nothing of it unless somebody put some in already. */
export const productCreated: EventHandler<typeof ProductCreatedSchema, Ledger> = {
  load: lockForEvents,
  apply: ({ productId, revision }, ledger) => ledger.hear(productId, revision, false),
};
