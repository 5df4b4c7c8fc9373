import type { Database, EntityManager } from '@tradewind/database/database';
import { run, statement } from '@tradewind/database/statement';

/** What a process that reads has to know, once a second. */
export interface Standing {
  readonly epoch: string;
  /** Whether changes are noted at all. */
  readonly wanted: boolean;
  /** Whether something waits for longer than it may. */
  readonly behind: boolean;
}

/** How long changes are noted after the last process that projects was heard of. */
const WANTED_HOURS = 24;

const standing = statement(`
  SELECT epoch, wanted_until > clock_timestamp() AS wanted,
    coalesce((SELECT min(since) FROM projection_due) < clock_timestamp() - $1::float8 * interval '1 ms', false) AS behind
  FROM projection`);

const ends = statement<{ ends: boolean }>(
  `SELECT wanted_until < clock_timestamp() + $1::float8 / 2 * interval '1 hour' AS ends FROM projection`,
);

const NEW = `substr(replace(gen_random_uuid()::text, '-', ''), 1, 12)`;

// Everybody who noted a change, or did not because nobody wanted it, has committed by then; who comes later sees the row as it is now.
const alone = statement('LOCK TABLE projection_due IN SHARE MODE');
const want = statement(`
  UPDATE projection SET epoch = CASE WHEN wanted_until < clock_timestamp() THEN ${NEW} ELSE epoch END,
    wanted_until = clock_timestamp() + $1::float8 * interval '1 hour'
  WHERE wanted_until < clock_timestamp() + $1::float8 / 2 * interval '1 hour'`);
const renew = statement(`UPDATE projection SET epoch = ${NEW}`);

/** @param patienceMs how long a change may wait */
export async function standingOf({ pool }: Pick<Database, 'pool'>, patienceMs: number): Promise<Standing> {
  const { rows } = await pool.query<Standing>(standing.text, [patienceMs]);
  const [row] = rows;
  if (!row) throw new Error('the table projection is empty');
  return row;
}

/**
 * Says that changes are to be noted for another day. Where they were not, for nobody had said so, a new epoch begins: what Redis holds may be old then,
 * and nobody would know of what.
 */
export async function wantProjection(database: Pick<Database, 'pool' | 'transaction'>): Promise<void> {
  const { rows } = await database.pool.query<{ ends: boolean }>(ends.text, [WANTED_HOURS]);
  if (!rows[0]?.ends) return;
  await database.transaction(async (em) => {
    await run(em, alone);
    await run(em, want, [WANTED_HOURS]);
  });
}

/**
 * Begins a new epoch: nothing in Redis is read any more until all of it is written again. For a transaction that puts other tallies in the place of those
 * that are there: their revisions may then be any.
 */
export async function startOver(em: EntityManager): Promise<void> {
  await run(em, renew);
}
