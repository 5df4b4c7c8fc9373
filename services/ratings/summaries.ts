import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import { Store, type SummarySchema } from '@tradewind/contracts/ratings/v1/summary';
import type { Database } from '@tradewind/database/database';
import DataLoader from 'dataloader';
import { LRUCache } from 'lru-cache';
import { aboutOf } from './subject.ts';
import { averageOf, type Counts, countOf } from './tally.ts';

/** How a subject was rated. */
export interface Summary {
  readonly subject: string;
  readonly counts: Counts;
  /** Undefined when there are no ratings. */
  readonly changedAt: Date | undefined;
  readonly revision: bigint;
}

/** A store that follows PostgreSQL, and is faster. */
export interface Follower {
  /** Those of the subjects that it can answer for. */
  read(subjects: readonly string[]): Promise<ReadonlyMap<string, Summary>>;
}

/** How subjects were rated. What is asked for at the same time is asked in one query. */
export interface Summaries {
  /** Undefined for a subject that nobody knows. */
  of(subject: string): Promise<Summary | undefined>;
  /**
   * Those that somebody knows, in the order of the subjects.
   * @throws ConnectError FAILED_PRECONDITION when that store is not configured, UNAVAILABLE when it can't answer
   */
  ofAll(subjects: readonly string[], store: Store): Promise<readonly Summary[]>;
}

/** Subjects a query at most. */
const CHUNK = 1_000;
/** Subjects that are remembered to be known; none ever becomes unknown. */
const KNOWN_MAX = 100_000;

const QUERY = `
  SELECT id, count_1, count_2, count_3, count_4, count_5, changed_at, revision
  FROM subject LEFT JOIN tally ON tally.subject = id WHERE id = ANY($1::text[])`;

type Row = Readonly<Record<`count_${1 | 2 | 3 | 4 | 5}` | 'revision', string | null>> & {
  readonly id: string;
  readonly changed_at: Date | null;
};

/** @param follower asked first; PostgreSQL has what it has not */
export function openSummaries({ pool }: Pick<Database, 'pool'>, follower?: Follower): Summaries {
  const known = new LRUCache<string, true>({ max: KNOWN_MAX });
  const ask = async (ids: readonly string[]) => {
    const { rows } = await pool.query<Row>({ name: 'summaries', text: QUERY, values: [ids] });
    for (const { id } of rows) known.set(id, true);
    return new Map(rows.map((row) => [row.id, summaryOf(row)]));
  };
  // A follower may hold what somebody rated that nobody here knows, so it is asked for known subjects alone.
  const either = async (ids: readonly string[]): Promise<ReadonlyMap<string, Summary>> => {
    const mine = follower ? ids.filter((id) => known.has(id)) : [];
    const quick = follower && mine.length > 0 ? await follower.read(mine) : new Map<string, Summary>();
    const rest = ids.filter((id) => !quick.has(id));
    return rest.length === 0 ? quick : new Map([...quick, ...(await ask(rest))]);
  };
  const loader = new DataLoader<string, Summary | undefined>(
    async (ids) => {
      const found = await either([...new Set(ids)]);
      return ids.map((id) => found.get(id));
    },
    { cache: false, maxBatchSize: CHUNK, batchScheduleFn: (load) => void setImmediate(load) },
  );
  const redis = async (ids: readonly string[]): Promise<ReadonlyMap<string, Summary>> => {
    if (!follower) throw new ConnectError('there is no Redis here', Code.FailedPrecondition);
    const [rated, found] = await Promise.all([ask(ids), follower.read(ids)]);
    // What nobody has rated it need not have.
    const missing = [...rated.values()].find(({ subject, revision }) => revision > 0n && !found.has(subject));
    if (missing) throw new ConnectError(`Redis can't tell of ${missing.subject} now`, Code.Unavailable);
    return found;
  };
  return {
    of: (subject) => loader.load(subject),
    async ofAll(subjects, store) {
      const from = store === Store.POSTGRESQL ? ask : store === Store.REDIS ? redis : either;
      const found = await from(subjects);
      return subjects.flatMap((subject) => found.get(subject) ?? []);
    },
  };
}

function summaryOf(row: Row): Summary {
  return {
    subject: row.id,
    counts: [row.count_1, row.count_2, row.count_3, row.count_4, row.count_5].map(
      Number,
    ) as unknown as Counts,
    changedAt: row.changed_at ?? undefined,
    revision: BigInt(row.revision ?? 0),
  };
}

/** How a subject was rated, as the contract shows it. */
export function summaryMessage({
  subject,
  counts,
  changedAt,
  revision,
}: Summary): MessageInitShape<typeof SummarySchema> {
  return {
    subject: { about: aboutOf(subject) },
    counts: Object.fromEntries(counts.flatMap((count, n) => (count === 0 ? [] : [[n + 1, BigInt(count)]]))),
    count: BigInt(countOf(counts)),
    average: averageOf(counts),
    ...(changedAt && { changedAt: timestampFromDate(changedAt) }),
    revision,
  };
}
