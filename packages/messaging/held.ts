import type { EntityManager } from '@tradewind/database/database';
import { run, statement } from '@tradewind/database/statement';
import type { Pool } from 'pg';
import { type EventContext, nameOf, storable } from './event.ts';
import { restate } from './inbox.ts';
import type { ReceivedRecord } from './log.ts';

/** An event that can be held: where it is from, and the topic whose order it keeps. */
export interface Holdable {
  readonly context: EventContext;
  readonly topic: string;
}

/** The line that an event keeps its order in: a topic and a key of one group. Without a key there is no order to keep, so it has a line of its own. */
export interface LineName {
  readonly topic: string;
  readonly key: string;
}

export function lineOf({ topic, context: { record } }: Holdable): LineName {
  const { key, partition, offset } = record;
  return { topic, key: key === null ? `${record.topic}/${partition}/${offset}` : nameOf(key) };
}

const nameOfLine = ({ topic, key }: LineName) => `${topic}\n${key}`;

// The lock lasts until the followers are committed: whoever removes an empty line waits for it, and then sees them. It is no obstacle to
// the drain, whose updates leave the key alone.
const lookForLines = statement<LineName>(`
  SELECT line.topic, line.key FROM unnest($2::text[], $3::text[]) AS event (topic, key)
  JOIN held_line line ON line.consumer_group = $1 AND line.topic = event.topic AND line.key = event.key
  FOR KEY SHARE OF line`);

const insertEvents = statement(`
  INSERT INTO held_event (consumer_group, topic, key, source, id,
    record_topic, record_partition, record_offset, record_key, value, headers, appended_at)
  SELECT $1, topic, key, source, id, record_topic, record_partition, record_offset, record_key, value, headers, appended_at
  FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::bigint[], $9::bytea[], $10::bytea[],
      $11::json[], $12::timestamptz[])
    WITH ORDINALITY AS event (topic, key, source, id, record_topic, record_partition, record_offset, record_key, value, headers,
      appended_at, n)
  ORDER BY n`);

// The event that failed is the line's head, unless another one failed meanwhile: then it follows.
const openLine = statement(`
  INSERT INTO held_line (consumer_group, topic, key, attempts, error, verdict, next_attempt_at)
  VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7 * interval '1 ms')
  ON CONFLICT (consumer_group, topic, key) DO UPDATE SET attempts = held_line.attempts`);

/** What a failure means for the line that it opens. */
export interface Failure {
  readonly error: unknown;
  readonly attempts: number;
  /** Set when there is nothing more to try. */
  readonly verdict: Verdict | undefined;
  /** Until the next attempt. */
  readonly waitMs: number;
}

export type Verdict = 'rejected' | 'failed' | 'deadly';

const MAX_ERROR_LENGTH = 1_000;

/** An error's text as it is kept. */
export function textOf(error: unknown): string {
  return storable(error instanceof Error ? error.message : String(error)).slice(0, MAX_ERROR_LENGTH);
}

/**
 * Holds those of the events that have to wait for one of their key, in the transaction that has claimed them. After the claim, which waits
 * for another member's: so a line that it opened is seen.
 * @returns the events that are held now
 */
export async function follow<Item extends Holdable>(
  em: EntityManager,
  group: string,
  claimed: readonly Item[],
): Promise<Item[]> {
  const wanted = new Map(
    claimed
      .filter(({ context }) => context.record.key !== null)
      .map((item) => [nameOfLine(lineOf(item)), lineOf(item)]),
  );
  if (wanted.size === 0) return [];
  const names = [...wanted.values()];
  const rows = await run(em, lookForLines, [
    group,
    names.map(({ topic }) => topic),
    names.map(({ key }) => key),
  ]);
  if (rows.length === 0) return [];
  const lines = new Set(rows.map(nameOfLine));
  const followers = claimed.filter(
    (item) => item.context.record.key !== null && lines.has(nameOfLine(lineOf(item))),
  );
  await store(em, group, followers);
  return followers;
}

/** Opens a line with an event that failed, in the transaction that has claimed it; joins the line that is there meanwhile. */
export async function open(
  em: EntityManager,
  group: string,
  item: Holdable,
  failure: Failure,
): Promise<void> {
  const { topic, key } = lineOf(item);
  const { error, attempts, verdict = null, waitMs } = failure;
  await run(em, openLine, [group, topic, key, attempts, textOf(error), verdict, waitMs]);
  await store(em, group, [item]);
}

async function store(em: EntityManager, group: string, items: readonly Holdable[]): Promise<void> {
  const records = items.map(({ context }) => context.record);
  const lines = items.map(lineOf);
  await restate(em, group, items, 'held');
  await run(em, insertEvents, [
    group,
    lines.map(({ topic }) => topic),
    lines.map(({ key }) => key),
    items.map(({ context }) => context.source),
    items.map(({ context }) => context.id),
    records.map(({ topic }) => topic),
    records.map(({ partition }) => partition),
    records.map(({ offset }) => offset.toString()),
    records.map(({ key }) => (key === null ? null : Buffer.from(key))),
    records.map(({ value }) => value),
    records.map(({ headers }) => JSON.stringify(headers)),
    records.map(({ appendedAt }) => appendedAt.toISOString()),
  ]);
}

/** An event as it is held. */
export interface HeldEvent {
  /** Its place in its line. */
  readonly position: string;
  readonly source: string;
  readonly id: string;
  readonly record: ReceivedRecord;
}

interface HeldRow {
  readonly position: string;
  readonly source: string;
  readonly id: string;
  readonly record_topic: string;
  readonly record_partition: number;
  readonly record_offset: string;
  readonly record_key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Record<string, string>;
  readonly appended_at: Date;
}

const HEAD = statement<HeldRow>(`
  SELECT position, source, id, record_topic, record_partition, record_offset, record_key, value, headers, appended_at
  FROM held_event WHERE consumer_group = $1 AND topic = $2 AND key = $3 ORDER BY position LIMIT $4`).text;

/** The first events of a line, at most `limit`. */
export async function headOf(
  pool: Pool,
  group: string,
  { topic, key }: LineName,
  limit: number,
): Promise<HeldEvent[]> {
  const { rows } = await pool.query<HeldRow>(HEAD, [group, topic, key, limit]);
  return rows.map((row) => ({
    position: row.position,
    source: row.source,
    id: row.id,
    record: {
      topic: row.record_topic,
      partition: row.record_partition,
      offset: BigInt(row.record_offset),
      key: row.record_key === null ? null : row.record_key.toString(),
      value: row.value,
      headers: row.headers,
      appendedAt: row.appended_at,
    },
  }));
}

const removeEvents = statement<{ position: string }>(
  'DELETE FROM held_event WHERE position = ANY($1::bigint[]) RETURNING position',
);

/** Another session holds the line and was faster; its events are left to it. */
export class Overtaken extends Error {}

/**
 * Takes events out of their line, in the transaction that settles them, before anything else: its locks make a session that was believed
 * dead, and one that took over from it, settle each event once and in order.
 * @throws Overtaken when one of them is gone
 */
export async function takeOut(em: EntityManager, events: readonly HeldEvent[]): Promise<void> {
  const rows = await run(em, removeEvents, [events.map(({ position }) => position)]);
  if (rows.length < events.length) throw new Overtaken('a held event was settled by somebody else');
}

/** How much a group holds. */
export interface HeldCounts {
  /** Keys in retry. */
  readonly lines: number;
  /** Events in retry or behind one. */
  readonly events: number;
  /** When the oldest of them was held; null when there is none. */
  readonly oldest: Date | null;
}

/** Counts what a group holds. */
export async function heldCounts(pool: Pool, group: string): Promise<HeldCounts> {
  const { rows } = await pool.query<HeldCounts>(
    `SELECT (SELECT count(*)::int FROM held_line WHERE consumer_group = $1) AS lines,
       count(*)::int AS events, min(held_at) AS oldest FROM held_event WHERE consumer_group = $1`,
    [group],
  );
  return rows[0] ?? { lines: 0, events: 0, oldest: null };
}
