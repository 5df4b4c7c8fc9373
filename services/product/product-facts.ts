import {
  ProductCreatedSchema,
  ProductDeletedSchema,
  ProductUpdatedSchema,
} from '@tradewind/contracts/product/v1/events';
import type { EntityManager } from '@tradewind/database/database';
import { Facts } from '@tradewind/messaging/outbox';
import { currentTraceContext } from '@tradewind/telemetry/trace-context';
import type { Product } from './product.ts';

/** Tells, in the transaction that wrote the product, what happened to it. Its row is locked by then. */
export async function tell(
  em: EntityManager,
  what: 'created' | 'updated' | 'deleted',
  product: Product,
): Promise<void> {
  const facts = new Facts('product');
  const { traceparent, tracestate } = currentTraceContext();
  const { id: productId, name, price, currency, category, brand, revision } = product;
  const trace = { traceparent, tracestate };
  if (what === 'deleted') facts.publish(ProductDeletedSchema, { productId, revision }, trace);
  else {
    const schema = what === 'created' ? ProductCreatedSchema : ProductUpdatedSchema;
    facts.publish(schema, { productId, name, price, currency, category, brand, revision }, trace);
  }
  await facts.save(em);
}
