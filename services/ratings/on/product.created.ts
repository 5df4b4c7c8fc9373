import type { ProductCreatedSchema } from '@tradewind/contracts/product/v1/events';
import type { EventHandler } from '@tradewind/messaging/subscription';
import { type HeardProducts, hearProducts } from '../subjects.ts';

/** A product is in the catalogue: it can be rated. */
export const productCreated: EventHandler<typeof ProductCreatedSchema, HeardProducts> = {
  load: hearProducts,
  apply: ({ productId, revision, name }, products) => products.hear(productId, revision, name),
};
