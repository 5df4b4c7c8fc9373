import type { EntityManager } from '@tradewind/database/database';
import { run, statement } from '@tradewind/database/statement';
import type { RatingRow } from './rating.ts';

// In one order for everybody, so that two batches with the same customer and subject wait for each other instead of deadlocking.
const insert = statement<{ id: string }>(`
  INSERT INTO rating (id, subject, customer_id, value, comment, created_at, updated_at, revision)
  SELECT id, subject, customer_id, value, comment, at, at, 1
  FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::smallint[], $5::text[], $6::timestamptz[])
    AS given (id, subject, customer_id, value, comment, at)
  ORDER BY customer_id, subject, id
  ON CONFLICT (customer_id, subject) WHERE customer_id IS NOT NULL DO NOTHING RETURNING id`);

/** Writes new ratings; gives the ids of those that were written. The others' customers have rated that subject already. */
export async function insertRatings(
  em: EntityManager,
  ratings: readonly RatingRow[],
): Promise<ReadonlySet<string>> {
  if (ratings.length === 0) return new Set();
  const rows = await run(em, insert, [
    ratings.map(({ id }) => id),
    ratings.map(({ subject }) => subject),
    ratings.map(({ customerId }) => customerId),
    ratings.map(({ value }) => value),
    ratings.map(({ comment }) => comment),
    ratings.map(({ createdAt }) => createdAt),
  ]);
  return new Set(rows.map(({ id }) => id));
}

const findNames = statement<{ id: string; name: string }>(
  'SELECT id, name FROM customer WHERE id = ANY($1::uuid[])',
);

/** Names of those of the customers that are known. */
export async function namesOfCustomers(
  em: EntityManager,
  ids: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const rows = await run(em, findNames, [[...new Set(ids)]]);
  return new Map(rows.map(({ id, name }) => [id, name]));
}
