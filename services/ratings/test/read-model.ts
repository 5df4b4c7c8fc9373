import type { Database } from '@tradewind/database/database';
import { run, statement } from '@tradewind/database/statement';
import { ratings } from '../migrations/0001-ratings.ts';
import { projection as projectionStep } from '../migrations/0002-projection.ts';
import { markDue } from '../redis/due.ts';

export const schema = { entities: [], steps: [ratings, projectionStep] };

/** A row as a transaction has left it. */
export interface Written {
  readonly subject: string;
  readonly revision: number;
  readonly counts: readonly number[];
}

const count = statement<{ subject: string; revision: string; counts: string[] }>(`
  INSERT INTO tally AS known (subject, count_1, count_2, count_3, count_4, count_5, changed_at, revision)
  SELECT subject, count(*) FILTER (WHERE value = 1), count(*) FILTER (WHERE value = 2), count(*) FILTER (WHERE value = 3),
    count(*) FILTER (WHERE value = 4), count(*) FILTER (WHERE value = 5), now(), 1
  FROM unnest($1::text[], $2::int[]) AS rating (subject, value) GROUP BY subject ORDER BY subject
  ON CONFLICT (subject) DO UPDATE SET count_1 = known.count_1 + excluded.count_1, count_2 = known.count_2 + excluded.count_2,
    count_3 = known.count_3 + excluded.count_3, count_4 = known.count_4 + excluded.count_4, count_5 = known.count_5 + excluded.count_5,
    changed_at = greatest(known.changed_at, excluded.changed_at), revision = known.revision + 1
  RETURNING subject, revision, ARRAY[count_1, count_2, count_3, count_4, count_5]::text[] AS counts`);

export type Rating = readonly [subject: string, value: number];

/**
 * Counts ratings as a listener's batch does: one transaction, with a note of what Redis has to get.
 * @returns what it wrote, once it has committed
 */
export async function rate(
  database: Pick<Database, 'transaction'>,
  ...ratings: readonly Rating[]
): Promise<readonly Written[]> {
  return await database.transaction(async (em) => {
    const rows = await run(em, count, [
      ratings.map(([subject]) => subject),
      ratings.map(([, value]) => value),
    ]);
    const written = rows.map(({ revision, counts, ...row }) => ({
      ...row,
      revision: Number(revision),
      counts: counts.map(Number),
    }));
    await markDue(em, written);
    return written;
  });
}
