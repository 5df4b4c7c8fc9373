import type { EntityManager } from '@tradewind/database/database';
import { run, statement } from '@tradewind/database/statement';
import { addUp, columns, type Delta } from './tally.ts';

/** Held by a rebuild for as long as it lives; whoever counts tries for a share, to know of it. Advisory locks are per database. */
export const REBUILD_LOCK = 7_420_010;
/** Shared by whoever counts until it commits; a rebuild takes it for the moment of the swap. */
export const SWAP_LOCK = 7_420_011;

/** Held by the one rebuild that there may be. */
export const ONE_REBUILD_LOCK = 7_420_012;

/** An event, as the inbox names it. */
export interface Seen {
  readonly source: string;
  readonly id: string;
}

const claimSeen = statement<Seen>(`
  INSERT INTO tally_rebuild_seen (source, id)
  SELECT source, id FROM unnest($1::text[], $2::text[]) AS event (source, id) ORDER BY source, id
  ON CONFLICT DO NOTHING RETURNING source, id`);

const addBeside = statement(`
  INSERT INTO tally_rebuild AS mine (subject, count_1, count_2, count_3, count_4, count_5, changed_at)
  SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::timestamptz[])
  ON CONFLICT (subject) DO UPDATE SET
    count_1 = mine.count_1 + excluded.count_1, count_2 = mine.count_2 + excluded.count_2, count_3 = mine.count_3 + excluded.count_3,
    count_4 = mine.count_4 + excluded.count_4, count_5 = mine.count_5 + excluded.count_5,
    changed_at = greatest(mine.changed_at, excluded.changed_at)`);

/**
 * Counts events in the model that a rebuild makes, those that it has not counted yet: whether from the log or as they are handled, each counts
 * there once.
 * @returns how many were new to it
 */
export async function joinRebuild(em: EntityManager, deltas: readonly (Delta & Seen)[]): Promise<number> {
  if (deltas.length === 0) return 0;
  const claimed = await run(em, claimSeen, [deltas.map(({ source }) => source), deltas.map(({ id }) => id)]);
  const mine = new Set(claimed.map(nameOf));
  // Of one that lies there twice the first counts, as it did when it was handled.
  const fresh = deltas.filter((delta) => mine.delete(nameOf(delta)));
  if (fresh.length > 0) await run(em, addBeside, columns(addUp(fresh)));
  return fresh.length;
}

const findOutcomes = statement<Seen & { state: string }>(`
  SELECT inbox.source, inbox.id, inbox.state FROM unnest($2::text[], $3::text[]) AS event (source, id)
  JOIN inbox ON inbox.consumer_group = $1 AND inbox.source = event.source AND inbox.id = event.id`);

/** What became of events in a group, by their names, as far as its inbox remembers them: done, held, dead or discarded. */
export async function outcomesOf(
  em: EntityManager,
  group: string,
  events: readonly Seen[],
): Promise<ReadonlyMap<string, string>> {
  const rows = await run(em, findOutcomes, [
    group,
    events.map(({ source }) => source),
    events.map(({ id }) => id),
  ]);
  return new Map(rows.map((row) => [nameOf(row), row.state]));
}

const findRedriven = statement<
  Seen & Record<`count_${1 | 2 | 3 | 4 | 5}`, number> & { subject: string; changed_at: Date }
>(`
  SELECT source, id, subject, count_1, count_2, count_3, count_4, count_5, changed_at FROM tally_redriven
  WHERE (source, id) > ($1, $2) ORDER BY source, id LIMIT $3`);

/** Dead letters that came back and were counted, in the order of their names, after one. */
export async function redrivenPage(em: EntityManager, after: Seen, limit: number): Promise<(Delta & Seen)[]> {
  const rows = await run(em, findRedriven, [after.source, after.id, limit]);
  return rows.map(({ source, id, subject, changed_at, ...row }) => ({
    source,
    id,
    subject,
    counts: [row.count_1, row.count_2, row.count_3, row.count_4, row.count_5],
    changedAt: changed_at,
  }));
}

/** Of an event, as a key of maps. */
export function nameOf({ source, id }: Seen): string {
  return `${source}\n${id}`;
}
