import type { EntityManager } from '@tradewind/database/database';
import { run, statement } from '@tradewind/database/statement';
import type { EventContext } from './event.ts';

/** What an inbox row says of its event. */
export type InboxState = 'done' | 'dead' | 'held' | 'discarded';

interface Identity {
  readonly source: string;
  readonly id: string;
}

// In id order, so that two members that hold the same events after a rebalance wait for each other instead of deadlocking.
const insertFirst = statement<Identity>(`
  INSERT INTO inbox (consumer_group, source, id, state)
  SELECT $1, source, id, $4 FROM unnest($2::text[], $3::text[]) AS event (source, id) ORDER BY source, id
  ON CONFLICT DO NOTHING RETURNING source, id`);

// Only what is dead may run again, and one redrive of it only once, however often its record is delivered.
const reviveDead = statement<Identity>(`
  UPDATE inbox SET state = $5, redrive = event.redrive, handled_at = clock_timestamp()
  FROM unnest($2::text[], $3::text[], $4::text[]) AS event (source, id, redrive)
  WHERE consumer_group = $1 AND inbox.source = event.source AND inbox.id = event.id
    AND state = 'dead' AND inbox.redrive IS DISTINCT FROM event.redrive
  RETURNING inbox.source, inbox.id`);

const setState = statement(`
  UPDATE inbox SET state = $4, handled_at = clock_timestamp()
  FROM unnest($2::text[], $3::text[]) AS event (source, id)
  WHERE consumer_group = $1 AND inbox.source = event.source AND inbox.id = event.id`);

// Only what is dead can be discarded: what was handled is done, and what is held is on its way.
const discardDead = statement<Identity>(`
  UPDATE inbox SET state = 'discarded', handled_at = clock_timestamp()
  FROM unnest($2::text[], $3::text[]) AS event (source, id)
  WHERE consumer_group = $1 AND inbox.source = event.source AND inbox.id = event.id AND state = 'dead'
  RETURNING inbox.source, inbox.id`);

/** Where a redriven record stands: one redrive of one event. */
function redriveOf({ record: { topic, partition, offset } }: EventContext): string {
  return `${topic}/${partition}/${offset}`;
}

const identityOf = ({ source, id }: Identity) => `${source}\n${id}`;

/**
 * Remembers events of a group in the transaction that handles them, and answers which of them are to be handled: those that the
 * group has not seen yet, and dead ones that were redriven. Of an event that is there twice the first is answered.
 */
export async function claim<Item extends { readonly context: EventContext; readonly redriven: boolean }>(
  em: EntityManager,
  group: string,
  items: readonly Item[],
  state: InboxState,
): Promise<Item[]> {
  const fresh = items.filter(({ redriven }) => !redriven).map(({ context }) => context);
  const again = items.filter(({ redriven }) => redriven).map(({ context }) => context);
  const claimed = new Set<string>();
  if (fresh.length > 0) {
    const rows = await run(em, insertFirst, [
      group,
      fresh.map(({ source }) => source),
      fresh.map(({ id }) => id),
      state,
    ]);
    for (const row of rows) claimed.add(identityOf(row));
  }
  if (again.length > 0) {
    const values = [
      again.map(({ source }) => source),
      again.map(({ id }) => id),
      again.map(redriveOf),
      state,
    ];
    for (const row of await run(em, reviveDead, [group, ...values])) claimed.add(identityOf(row));
  }
  return items.filter(({ context }) => claimed.delete(identityOf(context)));
}

interface Known {
  readonly context: EventContext;
}

const sources = (items: readonly Known[]) => items.map(({ context }) => context.source);
const ids = (items: readonly Known[]) => items.map(({ context }) => context.id);

/** Says anew what became of events that the group has claimed. */
export async function restate(
  em: EntityManager,
  group: string,
  items: readonly Known[],
  state: InboxState,
): Promise<void> {
  if (items.length > 0) await run(em, setState, [group, sources(items), ids(items), state]);
}

/** Says of dead events that nobody will redrive them: they never run again. Answers how many were dead. */
export async function discard(em: EntityManager, group: string, items: readonly Known[]): Promise<number> {
  if (items.length === 0) return 0;
  return (await run(em, discardDead, [group, sources(items), ids(items)])).length;
}

/** Whether two records carry the same event. */
export function isSame(a: Known, b: Known): boolean {
  return identityOf(a.context) === identityOf(b.context);
}
