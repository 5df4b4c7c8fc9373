import { afterCommit } from '@tradewind/database/after-commit';
import type { Database, EntityManager } from '@tradewind/database/database';
import { run, statement } from '@tradewind/database/statement';
import type { Snapshot, TallyRow } from './tallies.ts';

/** A row of the read model that a transaction has written. */
export interface Changed {
  readonly subject: string;
  /** That it has now. */
  readonly revision: number;
}

/** A subject that is due, with what the read model says of it. */
export interface DueRow extends TallyRow {
  /** When it was looked at, by the database's clock. */
  readonly at: Date;
}

// An INSERT locks its table before it looks at anything, so it sees what whoever had the table for himself has left in projection. Nobody but whoever has
// locked a subject's tally comes here with that subject; the order is for those who came by other ways.
const mark = statement(`
  INSERT INTO projection_due (subject, revision, since)
  SELECT subject, revision, clock_timestamp() FROM unnest($1::text[], $2::bigint[]) AS changed (subject, revision)
  WHERE (SELECT wanted_until > now() FROM projection) ORDER BY subject
  ON CONFLICT (subject) DO UPDATE SET revision = excluded.revision`);

/** The same for whoever has another connection to the database: subjects and revisions, as arrays. */
export const MARK_DUE = mark.text;

// A subject whose tally is gone has none. Each is looked up by itself: a join that was planned while the table was small would read all of it.
const take = statement(`
  SELECT projection.epoch, due.*, now() AS at FROM projection LEFT JOIN LATERAL (
    SELECT oldest.subject, coalesce(tally.revision, oldest.revision) AS revision,
      floor(extract(epoch FROM coalesce(tally.changed_at, now())) * 1000)::bigint AS changed,
      coalesce(tally.count_1, 0) AS count_1, coalesce(tally.count_2, 0) AS count_2, coalesce(tally.count_3, 0) AS count_3,
      coalesce(tally.count_4, 0) AS count_4, coalesce(tally.count_5, 0) AS count_5
    FROM (SELECT subject, revision FROM projection_due ORDER BY since LIMIT $1) oldest
      LEFT JOIN LATERAL (SELECT * FROM tally WHERE tally.subject = oldest.subject LIMIT 1) tally ON true
  ) due ON true`);

// A row that somebody has locked is about to change, and stays. What changed since it was looked at is due since then, not since the change that Redis has
// by now. Under another epoch revisions may be others, and nothing is settled.
const settle = statement<{ kept: number }>(`
  WITH held AS MATERIALIZED (
    SELECT due.subject, due.revision > brought.revision AS changed
    FROM unnest($1::text[], $2::bigint[]) AS brought (subject, revision) CROSS JOIN LATERAL (
      SELECT subject, revision FROM projection_due WHERE projection_due.subject = brought.subject LIMIT 1 FOR UPDATE SKIP LOCKED) due
    WHERE (SELECT epoch FROM projection) = $3),
  gone AS (
    DELETE FROM projection_due WHERE subject = ANY(ARRAY(SELECT subject FROM held WHERE NOT changed)) RETURNING subject),
  later AS (
    UPDATE projection_due SET since = greatest(since, $4::timestamptz) WHERE subject = ANY(ARRAY(SELECT subject FROM held WHERE changed)))
  SELECT cardinality($1::text[]) - count(*)::int AS kept FROM gone`);

const waiting = new WeakMap<object, Set<() => void>>();

/** Calls back after each commit of this process, in this database, that left something due. Disposing it ends that. */
export function onDue({ orm }: Pick<Database, 'orm'>, listener: () => void): Disposable {
  const driver = orm.em.getDriver();
  const listeners = waiting.get(driver) ?? new Set();
  waiting.set(driver, listeners.add(listener));
  return { [Symbol.dispose]: () => void listeners.delete(listener) };
}

/**
 * Notes that Redis is to get the counts of these subjects, in the transaction that changes them and after it has locked their tallies. Nothing is written
 * unless some process projects to a Redis.
 */
export async function markDue(em: EntityManager, changed: readonly Changed[]): Promise<void> {
  if (changed.length === 0) return;
  const last = new Map(changed.map(({ subject, revision }) => [subject, revision]));
  await run(em, mark, [[...last.keys()], [...last.values()]]);
  const driver = em.getDriver();
  afterCommit(em, () => {
    for (const listener of waiting.get(driver) ?? []) listener();
  });
}

/** The subjects that are due for longest, so many at most. */
export async function takeDue({ pool }: Pick<Database, 'pool'>, limit: number): Promise<Snapshot<DueRow>> {
  const { rows } = await pool.query<DueRow & { readonly epoch: string }>(take.text, [limit]);
  const [first] = rows;
  if (!first) throw new Error('the table projection is empty');
  return { epoch: first.epoch, rows: rows.filter(({ subject }) => subject !== null) };
}

/** Redis has these, in these revisions. Resolves with how many of them are due still, for they have changed since or are just changing. */
export async function settleDue(
  { pool }: Pick<Database, 'pool'>,
  { epoch, rows }: Snapshot<DueRow>,
): Promise<number> {
  const result = await pool.query<{ kept: number }>(settle.text, [
    rows.map(({ subject }) => subject),
    rows.map(({ revision }) => revision),
    epoch,
    rows[0]?.at,
  ]);
  return result.rows[0]?.kept ?? 0;
}
