import type { Logger } from '@tradewind/telemetry/logger';
import type { Database } from './database.ts';

const EXPIRING = {
  name: 'expiring',
  text: `
    SELECT p.topic_id, p.partition FROM event_log.topic t JOIN event_log.partition p ON p.topic_id = t.id
    WHERE t.retention_ms IS NOT NULL AND p.start_offset < p.next_offset`,
};

// Removes the oldest records of a partition up to the first that is to be kept, at most $3 at a time, so that appends wait for one
// short commit only. One process at a time: the others find nothing to do.
export const EXPIRE = {
  name: 'expire',
  text: `
    WITH turn AS MATERIALIZED (
      SELECT pg_try_advisory_xact_lock(7420103, $1) AS mine
    ), oldest AS (
      SELECT r."offset", r.appended_at < clock_timestamp() - t.retention_ms * interval '1 ms' AS old
      FROM turn
      JOIN event_log.topic t ON t.id = $1 AND turn.mine
      JOIN event_log.partition p ON p.topic_id = $1 AND p.partition = $2
      CROSS JOIN LATERAL (
        SELECT r."offset", r.appended_at FROM event_log.record r
        WHERE r.topic_id = $1 AND r.partition = $2 AND r."offset" >= p.start_offset
        ORDER BY r."offset" LIMIT $3
      ) r
    ), kept AS (
      SELECT coalesce(min("offset") FILTER (WHERE NOT old), max("offset") + 1) AS "offset" FROM oldest
    ), removed AS (
      DELETE FROM event_log.record r USING kept k
      WHERE r.topic_id = $1 AND r.partition = $2 AND r."offset" < k."offset" RETURNING 1
    ), counted AS (
      SELECT count(*)::int AS records FROM removed
    ), moved AS (
      UPDATE event_log.partition p SET start_offset = k."offset" FROM kept k, counted c
      WHERE p.topic_id = $1 AND p.partition = $2 AND c.records > 0
    )
    SELECT records FROM counted`,
};

/**
 * Removes what is older than its topic keeps it, read or not, in steps of at most `step` records.
 * @returns how many records went
 */
export async function removeExpired(database: Database, step = 5_000, signal?: AbortSignal): Promise<number> {
  let total = 0;
  for (const [topicId, partition] of await database.query<[number, number]>(EXPIRING, [])) {
    for (let removed = step; removed >= step && !signal?.aborted; ) {
      const rows = await database.query<[number]>(EXPIRE, [topicId, partition, step]);
      removed = rows[0]?.[0] ?? 0;
      total += removed;
    }
  }
  return total;
}

/** Removes expired records about every `everyMs` milliseconds, not at the same moment as other processes. */
export function startRetention(database: Database, everyMs: number, logger: Logger): AsyncDisposable {
  const stop = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> = Promise.resolve();
  const run = async () => {
    try {
      const records = await removeExpired(database, 5_000, stop.signal);
      if (records > 0) logger.info({ records }, 'event log: removed expired records');
    } catch (error) {
      logger.debug({ err: error }, 'event log: could not look for expired records');
    }
    schedule();
  };
  const schedule = () => {
    if (stop.signal.aborted) return;
    timer = setTimeout(
      () => {
        running = run();
      },
      everyMs * (0.75 + Math.random() / 2),
    );
  };
  schedule();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      clearTimeout(timer);
      await running;
    },
  };
}
