import type { Database } from '@tradewind/database/database';
import { statement } from '@tradewind/database/statement';

/** How often each value was given, `counts[0]` for 1. */
export type Counts = readonly [number, number, number, number, number];

/** What was counted of a subject. */
export interface Tally {
  readonly counts: Counts;
  /** When the newest rating counted was given. */
  readonly changedAt: Date;
  readonly revision: number;
}

/** The same as it is written to Redis: the database's numbers as text. */
export interface TallyRow {
  readonly subject: string;
  readonly revision: string;
  /** Milliseconds since 1970. */
  readonly changed: string;
  readonly count_1: string;
  readonly count_2: string;
  readonly count_3: string;
  readonly count_4: string;
  readonly count_5: string;
}

/** Rows as they were under an epoch, of which one snapshot tells both. */
export interface Snapshot<Row = TallyRow> {
  readonly epoch: string;
  readonly rows: readonly Row[];
}

/** A row without a subject tells the epoch alone. */
type Joined<Row> = { readonly [K in keyof Row]: Row[K] | null } & { readonly epoch: string };

const TALLY = `tally.subject, tally.revision, floor(extract(epoch FROM tally.changed_at) * 1000)::bigint AS changed,
  tally.count_1, tally.count_2, tally.count_3, tally.count_4, tally.count_5`;

const page = statement(`
  SELECT projection.epoch, page.* FROM projection LEFT JOIN LATERAL (
    SELECT ${TALLY} FROM tally WHERE subject > $1 ORDER BY subject LIMIT $2
  ) page ON true ORDER BY page.subject`);

const named = statement(`
  SELECT projection.epoch, page.* FROM projection LEFT JOIN LATERAL (
    SELECT ${TALLY} FROM tally WHERE subject = ANY($1::text[])
  ) page ON true`);

/** The tallies behind a subject, in the order of subjects; behind '' from the first. */
export async function talliesAfter(
  { pool }: Pick<Database, 'pool'>,
  subject: string,
  limit: number,
): Promise<Snapshot> {
  const { rows } = await pool.query<Joined<TallyRow>>(page.text, [subject, limit]);
  return snapshot(rows);
}

/** The tallies of these subjects, as far as there are any. */
export async function talliesOf(
  { pool }: Pick<Database, 'pool'>,
  subjects: readonly string[],
): Promise<Snapshot> {
  const { rows } = await pool.query<Joined<TallyRow>>(named.text, [subjects]);
  return snapshot(rows);
}

function snapshot(rows: readonly Joined<TallyRow>[]): Snapshot {
  const [first] = rows;
  if (!first) throw new Error('the table projection is empty');
  return {
    epoch: first.epoch,
    rows: rows.filter((row): row is Joined<TallyRow> & TallyRow => row.subject !== null),
  };
}
