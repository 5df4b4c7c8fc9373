import type { ProductDeletedSchema } from '@tradewind/contracts/product/v1/events';
import type { EventHandler } from '@tradewind/messaging/subscription';
import { lockForEvents } from '../events.ts';
import type { Ledger } from '../ledger.ts';

/** A product left the catalogue: nobody can order it. It stays as a tombstone, for its creation may be heard later. */
export const productDeleted: EventHandler<typeof ProductDeletedSchema, Ledger> = {
  load: lockForEvents,
  apply: ({ productId, revision }, ledger) => ledger.hear(productId, revision, true),
};
