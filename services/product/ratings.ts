import type { Rated } from '@tradewind/contracts/ratings/v1/events';
import type { EntityManager } from '@tradewind/database/database';
import { run, statement } from '@tradewind/database/statement';
import type { WorkingSet } from '@tradewind/messaging/subscription';
import { Product } from './product.ts';

/** As much of a product as counting its ratings takes. */
type Standing = Pick<Product, 'id' | 'ratingCount' | 'ratingSum' | 'rate'>;

const lock = statement<{ id: number; rating_count: string; rating_sum: string }>(`
  SELECT id, rating_count, rating_sum FROM product WHERE id = ANY($1::int[]) ORDER BY id FOR UPDATE`);

// "= ANY" besides the join keeps a plan that was made while the table was empty from reading all of it later.
const update = statement(`
  UPDATE product SET rating_count = rated.count, rating_sum = rated.sum, rating = rated.sum::float8 / rated.count
  FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS rated (id, count, sum)
  WHERE product.id = ANY($1::int[]) AND product.id = rated.id`);

/** The ratings of the products that a batch of events is about, locked. */
export class Ratings implements WorkingSet {
  readonly #products: ReadonlyMap<number, Standing>;
  readonly #rated = new Set<Standing>();

  constructor(products: readonly Standing[]) {
    this.#products = new Map(products.map((product) => [product.id, product]));
  }

  /** A product, deleted or not; undefined when there never was one with that id. */
  get(id: number): Standing | undefined {
    return this.#products.get(id);
  }

  /** Counts a rating. Answers whether it can be. */
  count(product: Standing, value: number, previous: number | undefined): boolean {
    const counted = product.rate(value, previous);
    if (counted) this.#rated.add(product);
    return counted;
  }

  async save(em: EntityManager): Promise<void> {
    const rated = [...this.#rated];
    if (rated.length === 0) return;
    await run(em, update, [
      rated.map(({ id }) => id),
      rated.map(({ ratingCount }) => ratingCount),
      rated.map(({ ratingSum }) => ratingSum),
    ]);
  }
}

/** Locks the products of a whole batch in one query, in id order; none for a batch that is not about any. */
export async function lockRatings(events: readonly Rated[], em: EntityManager): Promise<Ratings> {
  const ids = new Set(events.flatMap(({ about }) => (about.case === 'productId' ? [about.value] : [])));
  if (ids.size === 0) return new Ratings([]);
  const rows = await run(em, lock, [[...ids]]);
  return new Ratings(
    rows.map(({ id, rating_count, rating_sum }) =>
      Object.assign(new Product(), {
        id,
        ratingCount: BigInt(rating_count),
        ratingSum: BigInt(rating_sum),
      }),
    ),
  );
}
