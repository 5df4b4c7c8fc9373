import type { ProductUpdatedSchema } from '@tradewind/contracts/product/v1/events';
import type { EventHandler } from '@tradewind/messaging/subscription';
import { type HeardProducts, hearProducts } from '../subjects.ts';

/** A product changed; its ratings stay with it. This may overtake its creation, and then makes it known. */
export const productUpdated: EventHandler<typeof ProductUpdatedSchema, HeardProducts> = {
  load: hearProducts,
  apply: ({ productId, revision, name }, products) => products.hear(productId, revision, name),
};
