import type { SchemaStep } from '@tradewind/database/database';

export const ratings: SchemaStep = {
  name: '0002-ratings',
  up: [
    `ALTER TABLE product ADD rating_count bigint NOT NULL DEFAULT 0, ADD rating_sum bigint NOT NULL DEFAULT 0,
      ADD CONSTRAINT product_ratings CHECK (rating_sum BETWEEN rating_count AND 5 * rating_count)`,
    `COMMENT ON COLUMN product.rating_count IS 'Ratings that were heard of, of a deleted product too. Each is 1 to 5.'`,
    `COMMENT ON COLUMN product.rating_sum IS 'What they add up to. Neither they nor the average are changes of the product: revision and updated_at stay.'`,
    `COMMENT ON COLUMN product.rating IS 'rating_sum / rating_count; null without ratings.'`,
    // Every other index gets an entry more for each rating, too: 1,000 products in 0.17 s instead of 0.04, and still thousands a second.
    'CREATE INDEX product_by_rating ON product ((-coalesce(rating, 0)), id) WHERE deleted_at IS NULL',
  ],
  down: [
    'DROP INDEX product_by_rating',
    'COMMENT ON COLUMN product.rating IS NULL',
    'ALTER TABLE product DROP rating_sum, DROP rating_count',
    // Nobody would follow the ratings any more.
    'UPDATE product SET rating = NULL WHERE rating IS NOT NULL',
  ],
};
