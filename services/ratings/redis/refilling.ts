import { randomBytes } from 'node:crypto';
import type { Database } from '@tradewind/database/database';
import { subjectOf } from './keys.ts';
import type { Place, Refill, Store } from './store.ts';
import { talliesAfter, talliesOf } from './tallies.ts';

export interface RefillOptions {
  readonly database: Pick<Database, 'pool'>;
  readonly store: Store;
  /** Tallies a page; 500 when left out. */
  readonly page?: number;
  /** Called after each page, with how many tallies were written so far. */
  readonly onPage?: (tallies: number) => void;
}

/** How a try to fill the store ended, and what it wrote. */
export interface Refilled {
  /** `there`: it is complete, or another process fills it. `lost`: somebody emptied it, or the epoch ended; it has to begin again. */
  readonly end: 'there' | 'complete' | 'lost';
  readonly tallies: number;
  readonly removed: number;
}

/**
 * Fills a store that is not complete from PostgreSQL, page by page, while changes go on to be projected. Its mark is set first and is looked for by each script:
 * it goes with all the rest when somebody empties Redis, so a store that is said to be complete has lost nothing since then. At the end, what
 * PostgreSQL does not know is removed. Rejects when Redis or PostgreSQL fails; after 10 s another process may begin.
 */
export async function refill(place: Place, signal: AbortSignal, options: RefillOptions): Promise<Refilled> {
  const { store } = options;
  const begun = await store.begin(place, randomBytes(6).toString('hex'));
  if (typeof begun === 'string') return { end: 'there', tallies: 0, removed: 0 };
  const tallies = await writeAll(begun, signal, options);
  const removed = tallies === undefined ? undefined : await removeStrays(begun, signal, options);
  const whole = removed !== undefined && (await store.finish(begun)) === 'complete';
  return { end: whole ? 'complete' : 'lost', tallies: tallies ?? 0, removed: removed ?? 0 };
}

/** Resolves with how many it wrote; undefined when the refill is not under way any more. */
async function writeAll(
  begun: Refill,
  signal: AbortSignal,
  { database, store, page = 500, onPage }: RefillOptions,
): Promise<number | undefined> {
  let tallies = 0;
  for (let last = ''; ; ) {
    signal.throwIfAborted();
    const { epoch, rows } = await talliesAfter(database, last, page);
    // Other tallies are in the place of those that were written.
    if (epoch !== begun.epoch) return undefined;
    if (typeof (await store.write(begun, rows, { mend: true })) === 'string') return undefined;
    tallies += rows.length;
    onPage?.(tallies);
    last = rows.at(-1)?.subject ?? '';
    if (rows.length < page) return tallies;
  }
}

/** Resolves with how many keys it removed; undefined when the refill is not under way any more. */
async function removeStrays(
  begun: Refill,
  signal: AbortSignal,
  { database, store }: RefillOptions,
): Promise<number | undefined> {
  let removed = 0;
  for (let cursor: string | undefined; cursor !== '0'; ) {
    signal.throwIfAborted();
    const [next, keys] = await store.scan(begun, cursor ?? '0');
    cursor = next;
    const subjects = [...new Set(keys.map(subjectOf).filter((subject) => subject !== undefined))];
    // Seen before PostgreSQL is asked: a subject that is rated for the first time meanwhile has another revision by then.
    const seen = await store.revisions(begun, subjects);
    const { epoch, rows } = await talliesOf(database, subjects);
    if (epoch !== begun.epoch) return undefined;
    const known = new Set(rows.map(({ subject }) => subject));
    const strays = subjects
      .map((subject, n) => ({ subject, seen: seen[n] ?? '' }))
      .filter(({ subject }) => !known.has(subject));
    const answer = await store.remove(
      begun,
      strays.map(({ subject }) => subject),
      strays.map((stray) => stray.seen),
    );
    if (typeof answer === 'string') return undefined;
    removed += answer;
  }
  return removed;
}
