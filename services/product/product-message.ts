import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { type Product as ProductMessage, ProductSchema } from '@tradewind/contracts/product/v1/product';
import type { Product } from './product.ts';

/** A product as the contract shows it. */
export function toMessage(product: Product): ProductMessage {
  const { name, description, price, currency, category, brand, thumbnail, rating, ratingCount, revision } =
    product;
  return create(ProductSchema, {
    // MikroORM marks what the database fills in by a type of its own.
    id: Number(product.id),
    name,
    description,
    price,
    currency,
    category,
    brand,
    thumbnail,
    ratingCount,
    revision,
    createdAt: timestampFromDate(product.createdAt),
    updatedAt: timestampFromDate(product.updatedAt),
    ...(rating === null || rating === undefined ? {} : { rating }),
  });
}
