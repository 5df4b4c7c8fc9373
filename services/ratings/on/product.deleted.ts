import type { ProductDeletedSchema } from '@tradewind/contracts/product/v1/events';
import type { EventHandler } from '@tradewind/messaging/subscription';
import { type HeardProducts, hearProducts } from '../subjects.ts';

/** A product left the catalogue: nobody can rate it any more. It stays as a tombstone, for its creation may be heard later. */
export const productDeleted: EventHandler<typeof ProductDeletedSchema, HeardProducts> = {
  load: hearProducts,
  apply: ({ productId, revision }, products) => products.hear(productId, revision),
};
