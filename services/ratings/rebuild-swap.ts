import type { PoolClient } from 'pg';
import { MARK_DUE } from './redis/due.ts';

const values = [1, 2, 3, 4, 5].map((value) => `count_${value}`);
const list = values.join(', ');
const mine = values.map((name) => `mine.${name}`).join(', ');

/** Tallies that are not what the log says become it; those that are right are not touched. Subjects that the log knows nothing of have no ratings. */
const REPLACE = `
  WITH changed AS (
    INSERT INTO tally AS mine (subject, ${list}, changed_at, revision)
    SELECT subject, ${list}, changed_at, 1 FROM tally_rebuild
    ON CONFLICT (subject) DO UPDATE SET (${list}, changed_at, revision) =
      ROW (${values.map((name) => `excluded.${name}`).join(', ')}, excluded.changed_at, mine.revision + 1)
    WHERE (${mine}, mine.changed_at) IS DISTINCT FROM (${values.map((name) => `excluded.${name}`).join(', ')}, excluded.changed_at)
    RETURNING subject, revision
  ), emptied AS (
    UPDATE tally AS mine SET ${values.map((name) => `${name} = 0`).join(', ')}, revision = revision + 1
    WHERE ${values.map((name) => `mine.${name}`).join(' + ')} > 0
      AND NOT EXISTS (SELECT FROM tally_rebuild given WHERE given.subject = mine.subject)
    RETURNING subject, revision
  )
  SELECT subject, revision FROM changed UNION ALL SELECT subject, revision FROM emptied`;

/**
 * Puts the new model in the place of the live one, in one transaction, while nobody counts.
 * @returns how many subjects were different
 */
export async function swap(client: PoolClient, lock: number): Promise<{ readonly different: number }> {
  try {
    await client.query('BEGIN');
    await client.query('SELECT pg_advisory_xact_lock($1)', [lock]);
    // All of both tables is what has to be read here.
    await client.query('SET LOCAL enable_seqscan = on');
    const { rows } = await client.query<{ subject: string; revision: string }>(REPLACE);
    const due = [rows.map(({ subject }) => subject), rows.map(({ revision }) => revision)];
    if (rows.length > 0) await client.query(MARK_DUE, due);
    await client.query('COMMIT');
    return { different: rows.length };
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}
