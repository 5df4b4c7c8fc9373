import type { EntityManager } from '@tradewind/database/database';
import { run, statement } from '@tradewind/database/statement';
import type { Pool } from 'pg';
import { type Holdable, type LineName, lineOf, textOf, type Verdict } from './held.ts';

/** A line that a session works on: nobody else does, as long as the session lives. */
export interface Line extends LineName {
  /** Failed attempts at its first event. */
  readonly attempts: number;
  readonly error: string | null;
  readonly verdict: Verdict | null;
  /** A session died while it worked on it. */
  readonly careful: boolean;
  readonly firstFailure: Date;
  readonly lastFailure: Date;
}

/** A session of a group. */
export interface Worker {
  readonly group: string;
  readonly session: string;
}

const COLUMNS = `topic, key, attempts, error, verdict, careful, first_failure AS "firstFailure", last_failure AS "lastFailure"`;

// Batches that only add followers are no obstacle. By now(), for a volatile clock could not use the index.
const TAKE = statement(`
  UPDATE held_line SET session = $2
  WHERE (consumer_group, topic, key) IN (
    SELECT consumer_group, topic, key FROM held_line
    WHERE consumer_group = $1 AND session IS NULL AND next_attempt_at <= now()
    ORDER BY next_attempt_at LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED)
  RETURNING ${COLUMNS}`).text;

/** Takes lines whose time has come, at most `limit`. */
export async function takeDue(pool: Pool, { group, session }: Worker, limit: number): Promise<Line[]> {
  return (await pool.query<Line>(TAKE, [group, session, limit])).rows;
}

const NEXT_DUE = statement(`
  SELECT extract(epoch FROM next_attempt_at - clock_timestamp())::float8 * 1000 AS ms FROM held_line
  WHERE consumer_group = $1 AND session IS NULL ORDER BY next_attempt_at LIMIT 1`).text;

/** Milliseconds until the next line is due, by the database's clock; undefined when there is none. */
export async function nextDue(pool: Pool, { group }: Worker): Promise<number | undefined> {
  return (await pool.query<{ ms: number }>(NEXT_DUE, [group])).rows[0]?.ms;
}

const resetLine = statement(`
  UPDATE held_line SET attempts = 0, error = NULL, verdict = NULL, careful = false, next_attempt_at = clock_timestamp()
  WHERE consumer_group = $1 AND topic = $2 AND key = $3`);

/** The line's first event is dealt with, and the next one begins anew, in the same transaction. */
export async function reset(em: EntityManager, group: string, item: Holdable): Promise<void> {
  const { topic, key } = lineOf(item);
  await run(em, resetLine, [group, topic, key]);
}

const FAIL = statement(`
  UPDATE held_line SET attempts = attempts + 1, error = $5, verdict = $6, careful = false,
    first_failure = CASE WHEN attempts = 0 THEN clock_timestamp() ELSE first_failure END, last_failure = clock_timestamp()
  WHERE consumer_group = $1 AND topic = $2 AND key = $3 AND session = $4
  RETURNING ${COLUMNS}`).text;

/** Counts a failed attempt. Resolves with the line as it is then; undefined when it is not the session's any more. */
export async function countFailure(
  pool: Pool,
  { group, session }: Worker,
  { topic, key }: LineName,
  error: unknown,
  verdict: Verdict | undefined,
): Promise<Line | undefined> {
  const values = [group, topic, key, session, textOf(error), verdict ?? null];
  return (await pool.query<Line>(FAIL, values)).rows[0];
}

const LEAVE = statement(`
  UPDATE held_line SET session = NULL, next_attempt_at = clock_timestamp() + $5 * interval '1 ms'
  WHERE consumer_group = $1 AND topic = $2 AND key = $3 AND session = $4`).text;

/** Leaves the line to whoever looks for it after so many milliseconds. */
export async function leave(
  pool: Pool,
  { group, session }: Worker,
  { topic, key }: LineName,
  waitMs: number,
): Promise<void> {
  await pool.query(LEAVE, [group, topic, key, session, waitMs]);
}

const lockLine = statement(`
  SELECT 1 FROM held_line WHERE consumer_group = $1 AND topic = $2 AND key = $3 AND session = $4 FOR UPDATE`);

// A statement of its own, after the lock: it sees what was committed while the lock was waited for.
const removeEmpty = statement<{ gone: boolean }>(`
  DELETE FROM held_line line WHERE consumer_group = $1 AND topic = $2 AND key = $3 AND NOT EXISTS (
    SELECT FROM held_event event
    WHERE event.consumer_group = line.consumer_group AND event.topic = line.topic AND event.key = line.key)
  RETURNING true AS gone`);

/** Removes a line in which nothing is left. Answers false when somebody has joined it meanwhile. */
export async function close(
  em: EntityManager,
  { group, session }: Worker,
  { topic, key }: LineName,
): Promise<boolean> {
  // No longer the session's: then it is not its to close either.
  if ((await run(em, lockLine, [group, topic, key, session])).length === 0) return true;
  return (await run(em, removeEmpty, [group, topic, key])).length > 0;
}
