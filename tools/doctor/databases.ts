import { sessionUrl } from '@tradewind/database/session';
import type { Look } from '@tradewind/messaging/trail';
import { ask } from '@tradewind/process/ask';
import { Pool } from 'pg';
import type { DatabaseReport, HeldReport } from './report.ts';

const COUNTED = 100_000;
const NAMED = 5;

/** A service's database, to be read and nothing else. Opening does not connect. */
export function openReading(url: string, limitMs: number): Pool {
  const pool = new Pool({
    connectionString: sessionUrl(url, { default_transaction_read_only: 'on' }),
    application_name: 'doctor',
    max: 2,
    connectionTimeoutMillis: limitMs,
    query_timeout: limitMs,
    statement_timeout: limitMs,
  });
  pool.on('error', () => undefined);
  return pool;
}

/** Runs a statement; no rows where its tables are not there, as in a schema that is older than they are. */
export async function rowsOf<Row extends object>(
  pool: Pool,
  text: string,
  values: unknown[] = [],
): Promise<Row[]> {
  try {
    return (await pool.query<Row>(text, values)).rows;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === '42P01') return [];
    throw error;
  }
}

/** The same, for looks that are shared with the services. */
export function lookInto(pool: Pool): Look {
  return (text, values) => rowsOf(pool, text, values);
}

const OUTBOX = `
  SELECT (SELECT count(*)::int FROM (SELECT FROM outbox LIMIT ${COUNTED}) AS row) AS depth, oldest.topic, oldest.ms
  FROM (SELECT 1) AS one LEFT JOIN (
    SELECT aggregatetype AS topic, extract(epoch FROM clock_timestamp() - created_at)::float8 * 1000 AS ms
    FROM outbox ORDER BY position LIMIT 1) AS oldest ON true`;

const HELD = `
  SELECT line.topic, line.key, line.attempts, coalesce(line.error, '') AS error, line.next_attempt_at,
    extract(epoch FROM clock_timestamp() - line.first_failure)::float8 * 1000 AS since,
    (SELECT count(*)::int FROM held_event event WHERE event.consumer_group = line.consumer_group
      AND event.topic = line.topic AND event.key = line.key) AS events
  FROM held_line line WHERE consumer_group = $1 ORDER BY first_failure LIMIT ${NAMED}`;

const HELD_COUNTS = `
  SELECT (SELECT count(*)::int FROM held_line WHERE consumer_group = $1) AS keys,
    (SELECT count(*)::int FROM held_event WHERE consumer_group = $1) AS events`;

/** How much a service has not sent, and how much its group holds. */
export async function lookAtDatabase(service: string, pool: Pool, limitMs: number): Promise<DatabaseReport> {
  const asked = await ask(limitMs, async () => {
    const outbox = await rowsOf<{ depth: number; topic: string | null; ms: number | null }>(pool, OUTBOX);
    const [counts] = await rowsOf<{ keys: number; events: number }>(pool, HELD_COUNTS, [service]);
    const held = await rowsOf<HeldRow>(pool, HELD, [service]);
    return { outbox: outbox[0], counts, held: held.map(heldReport) };
  });
  if ('why' in asked) return { service, reachable: false, why: asked.why };
  const { outbox, counts, held } = asked.answer;
  if (!outbox) return { service, reachable: false, why: 'it has no tables: is its schema migrated?' };
  const oldest = held[0]?.since_ms;
  return {
    service,
    reachable: true,
    outbox_depth: outbox.depth,
    ...(outbox.ms !== null && { outbox_oldest_ms: Math.round(outbox.ms) }),
    ...(outbox.topic !== null && { outbox_oldest_topic: outbox.topic }),
    held_keys: counts?.keys ?? 0,
    held_events: counts?.events ?? 0,
    ...(oldest !== undefined && { held_oldest_ms: oldest }),
    held,
  };
}

interface HeldRow {
  readonly topic: string;
  readonly key: string;
  readonly attempts: number;
  readonly error: string;
  readonly next_attempt_at: Date;
  readonly since: number;
  readonly events: number;
}

function heldReport({ since, next_attempt_at, ...row }: HeldRow): HeldReport {
  return { ...row, since_ms: Math.round(since), next_attempt_at: next_attempt_at.toISOString() };
}
