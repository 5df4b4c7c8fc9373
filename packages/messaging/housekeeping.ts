import type { Database } from '@tradewind/database/database';
import { delay } from '@tradewind/process/backoff';
import type { Logger } from '@tradewind/telemetry/logger';

/** Removes what is not needed any more from a service's own tables. */
export interface Chore {
  readonly name: string;
  /** Deletes at most $1 rows; so small a step that it is never in anybody's way. */
  readonly sql: string;
}

export interface HousekeepingOptions {
  readonly database: Database;
  readonly chores: readonly Chore[];
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Between rounds; ten minutes when left out. */
  readonly everyMs?: number;
  /** Rows a step; 2,000 when left out. */
  readonly step?: number;
}

/** What stays in the inbox of dead events longer than of others: a dead letter (90 days) can't be redriven without its row. */
const DEAD_MS = 100 * 24 * 3_600_000;

/**
 * Cleans the inbox. The window must be longer than any retry, redelivery and replay of a record takes: records of most topics are gone after
 * a week; where they are kept for ever the revision decides, or the window must be as long. By `now()`, for a volatile clock could not use the index.
 * @param windowMs how long what is done is remembered, in milliseconds
 */
export function inboxChores(windowMs: number): readonly Chore[] {
  const older = (ms: number) => `handled_at < now() - interval '${Math.round(ms / 1000)} s'`;
  const remove = (where: string) => `DELETE FROM inbox WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM inbox WHERE ${where} LIMIT $1))`;
  return [
    { name: 'inbox: done', sql: remove(`${older(windowMs)} AND state = 'done'`) },
    // A held one is still to be handled, however long that takes.
    { name: 'inbox: dead', sql: remove(`${older(Math.max(windowMs, DEAD_MS))} AND state <> 'held'`) },
    {
      // Of records that went with their partition's retention before they were received again.
      name: 'lone deaths',
      sql: `DELETE FROM lone_death WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM lone_death WHERE last_death < now() - interval '30 days' LIMIT $1))`,
    },
    {
      // Of partitions that nobody hears any more.
      name: 'listener marks',
      sql: `DELETE FROM listener_partition WHERE ctid = ANY(ARRAY(
        SELECT mark.ctid FROM listener_partition mark WHERE marked_at < now() - interval '30 days'
          AND NOT EXISTS (SELECT FROM listener_session living WHERE living.session = mark.session) LIMIT $1))`,
    },
  ];
}

/**
 * Cleans an outbox that nobody empties, because facts are read from the database's own log. The oldest positions first, so that no step looks
 * further than it deletes.
 * @param windowMs how long a fact stays, in milliseconds
 */
export function outboxChores(windowMs: number): readonly Chore[] {
  const oldest = 'SELECT position, created_at FROM outbox ORDER BY position LIMIT $1';
  return [
    {
      name: 'outbox',
      sql: `DELETE FROM outbox WHERE position = ANY(ARRAY(
        SELECT position FROM (${oldest}) fact WHERE created_at < now() - interval '${Math.round(windowMs / 1000)} s'))`,
    },
  ];
}

const CHORES_LOCK = 7_420_003;

/** Does the chores in rounds until the signal aborts, one process at a time. Failures are logged and wait for the next round. */
export async function keepHouse(options: HousekeepingOptions): Promise<void> {
  const { logger, signal, everyMs = 600_000 } = options;
  while (!signal.aborted) {
    try {
      const removed = await cleanOnce(options);
      if (Object.keys(removed).length > 0) logger.info({ removed }, 'housekeeping');
    } catch (error) {
      if (!signal.aborted) logger.warn({ err: error }, 'housekeeping failed; the next round tries again');
    }
    await delay(everyMs, signal).catch(() => undefined);
  }
}

/** One round. Resolves with the rows removed by each chore that removed any. */
export async function cleanOnce({
  database,
  chores,
  signal,
  step = 2_000,
}: HousekeepingOptions): Promise<Record<string, number>> {
  const removed: Record<string, number> = {};
  const client = await database.pool.connect();
  try {
    const { rows } = await client.query<{ mine: boolean }>('SELECT pg_try_advisory_lock($1) AS mine', [
      CHORES_LOCK,
    ]);
    if (!rows[0]?.mine) return removed;
    try {
      for (const { name, sql } of chores) {
        for (let count = step; count === step && !signal.aborted; ) {
          count = (await client.query(sql, [step])).rowCount ?? 0;
          if (count > 0) removed[name] = (removed[name] ?? 0) + count;
        }
      }
    } finally {
      await client.query('SELECT pg_advisory_unlock($1)', [CHORES_LOCK]);
    }
  } finally {
    client.release();
  }
  return removed;
}
