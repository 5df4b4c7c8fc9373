import { Code, ConnectError } from '@connectrpc/connect';
import { type Rated, RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import type { EntityManager } from '@tradewind/database/database';
import { run, statement } from '@tradewind/database/statement';
import { topicOf } from '@tradewind/messaging/contract';
import type { EventContext } from '@tradewind/messaging/event';
import type { WorkingSet } from '@tradewind/messaging/subscription';
import { joinRebuild, REBUILD_LOCK, type Seen, SWAP_LOCK } from './rebuild-rows.ts';
import { markDue } from './redis/due.ts';
import { addUp, columns, type Delta, deltaOf } from './tally.ts';

// Whoever counts keeps the swap of a rebuild out until it has committed. A rebuild under way holds its lock for as long as its connection
// lives, so not getting a share of it is to know of it.
const look = statement<{ alone: boolean }>(`
  SELECT pg_try_advisory_xact_lock_shared(${REBUILD_LOCK}) AS alone FROM pg_advisory_xact_lock_shared(${SWAP_LOCK})`);

// Additive, and in the order of the subjects: nothing has to be read before.
const add = statement<{ subject: string; revision: string; negative: boolean }>(`
  INSERT INTO tally AS mine (subject, count_1, count_2, count_3, count_4, count_5, changed_at, revision)
  SELECT subject, c1, c2, c3, c4, c5, changed_at, 1
  FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::timestamptz[])
    AS delta (subject, c1, c2, c3, c4, c5, changed_at)
  ON CONFLICT (subject) DO UPDATE SET
    count_1 = mine.count_1 + excluded.count_1, count_2 = mine.count_2 + excluded.count_2, count_3 = mine.count_3 + excluded.count_3,
    count_4 = mine.count_4 + excluded.count_4, count_5 = mine.count_5 + excluded.count_5,
    changed_at = greatest(mine.changed_at, excluded.changed_at), revision = mine.revision + 1
  RETURNING subject, revision, least(count_1, count_2, count_3, count_4, count_5) < 0 AS negative`);

const remember = statement(`
  INSERT INTO tally_redriven (subject, count_1, count_2, count_3, count_4, count_5, changed_at, source, id)
  SELECT * FROM unnest($1::text[], $2::int[], $3::int[], $4::int[], $5::int[], $6::int[], $7::timestamptz[], $8::text[], $9::text[])
  ON CONFLICT DO NOTHING`);

/** Counts the ratings of a batch of events. */
export class Tallies implements WorkingSet {
  readonly #deltas: (Delta & Seen & { readonly redriven: boolean })[] = [];
  readonly #rebuilding: boolean;

  /** @param rebuilding whether what is counted has to be counted in the model that is made beside this one, too */
  constructor(rebuilding: boolean) {
    this.#rebuilding = rebuilding;
  }

  /** When the events were rated, for whoever measures how long it took to count them. */
  get ratedAt(): readonly Date[] {
    return this.#deltas.map(({ changedAt }) => changedAt);
  }

  count(event: Rated, context: EventContext): void {
    const { source, id, record } = context;
    const redriven = record.topic !== topicOf(RatedSchema).name;
    this.#deltas.push({ ...deltaOf(event, context), source, id, redriven });
  }

  async save(em: EntityManager): Promise<void> {
    const changed = await run(em, add, columns(addUp(this.#deltas)));
    const wrong = changed.find(({ negative }) => negative);
    if (wrong)
      throw new ConnectError(`${wrong.subject} has no such rating to change`, Code.FailedPrecondition);
    await markDue(
      em,
      changed.map(({ subject, revision }) => ({ subject, revision: Number(revision) })),
    );
    const redriven = this.#deltas.filter((delta) => delta.redriven);
    if (redriven.length > 0)
      await run(em, remember, [
        ...columns(redriven),
        redriven.map(({ source }) => source),
        redriven.map(({ id }) => id),
      ]);
    if (this.#rebuilding) await joinRebuild(em, this.#deltas);
  }
}

/** Begins to count, within the transaction of a batch. */
export async function openTallies(_: readonly Rated[], em: EntityManager): Promise<Tallies> {
  const [row] = await run(em, look);
  return new Tallies(row?.alone === false);
}
