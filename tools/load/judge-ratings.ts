import {
  type Histogram,
  NONE,
  type ProductEntry,
  type RatingEntry,
  type StoreName,
  type SummaryEntry,
} from './ratings-books.ts';
import { productSubject } from './subjects.ts';

/** Everything about ratings, as one reading found it. */
export interface RatingBooks {
  readonly ratings: readonly RatingEntry[];
  /** By subject, of each store that there is; without subjects that nobody knows. */
  readonly stores: ReadonlyMap<StoreName, ReadonlyMap<string, SummaryEntry>>;
  readonly products: readonly ProductEntry[];
}

/** A subject whose count is not what it must be. */
export interface OffCount {
  readonly subject: string;
  /** Whose count it is: a store's, or the product service's. */
  readonly by: StoreName | 'product';
  /** What it must be, for people. */
  readonly expected: string;
  /** What it is; `nothing` where there is none. */
  readonly counted: string;
}

/** A subject that more ratings are counted of than were given: somebody else told of them, or one was counted twice. */
export interface MoreCounted {
  readonly subject: string;
  readonly more: number;
  readonly given: string;
  readonly counted: string;
}

export interface CountFindings {
  readonly off: OffCount[];
  readonly more: MoreCounted[];
}

/** Ratings by subject that others than the ratings service told of, as they change its counts. */
export type Foreign = ReadonlyMap<string, Histogram>;

/**
 * For every subject: what PostgreSQL counts is its ratings and those that others told of; what every other store and the product service have
 * is what PostgreSQL counts.
 */
export function judgeCounts(
  { ratings, stores, products }: RatingBooks,
  foreign: Foreign = new Map(),
): CountFindings {
  const given = histograms(ratings);
  const mine = stores.get('PostgreSQL') ?? new Map<string, SummaryEntry>();
  const findings: CountFindings = { off: [], more: [] };
  // Of a subject that nobody knows nothing is shown, though it may be counted.
  for (const subject of new Set([...given.keys(), ...mine.keys()])) {
    const expected = add(given.get(subject) ?? NONE, foreign.get(subject) ?? NONE);
    judgeOne(subject, expected, mine.get(subject), findings);
  }
  for (const [by, theirs] of stores)
    if (by !== 'PostgreSQL') findings.off.push(...differences(by, mine, theirs));
  findings.off.push(...products.flatMap((product) => offProduct(product, mine)));
  return findings;
}

function judgeOne(
  subject: string,
  expected: Histogram,
  summary: SummaryEntry | undefined,
  { off, more }: CountFindings,
): void {
  if (summary && !isSound(summary))
    off.push({ subject, by: 'PostgreSQL', expected: 'count and average of its values', ...inWords(summary) });
  const counts = summary?.counts ?? NONE;
  if (summary && isSame(counts, expected)) return;
  const surplus = counts.map((count, n) => count - (expected[n] ?? 0));
  if (summary && surplus.every((count) => count >= 0))
    more.push({ subject, more: sum(surplus), given: shown(expected), counted: shown(counts) });
  else off.push({ subject, by: 'PostgreSQL', expected: shown(expected), ...inWords(summary) });
}

/** Where a store differs from PostgreSQL. One that holds nothing of a subject that nobody rated is right. */
function differences(
  by: StoreName,
  mine: ReadonlyMap<string, SummaryEntry>,
  theirs: ReadonlyMap<string, SummaryEntry>,
): OffCount[] {
  return [...mine].flatMap(([subject, { counts }]) => {
    const there = theirs.get(subject);
    if (there ? isSound(there) && isSame(there.counts, counts) : sum(counts) === 0) return [];
    return [{ subject, by, expected: shown(counts), ...inWords(there) }];
  });
}

function offProduct({ productId, count, average }: ProductEntry, mine: ReadonlyMap<string, SummaryEntry>) {
  const subject = productSubject(productId);
  // The ratings service hears of a product a moment after the catalogue has it, and before that nobody can rate it.
  const counts = mine.get(subject)?.counts ?? NONE;
  const expected = sum(counts);
  const right = count === expected && average === (expected === 0 ? undefined : averageOf(counts));
  if (right) return [];
  const words = (n: number, mean: number | undefined) => `${n} ratings, average ${mean ?? 'none'}`;
  return [
    {
      subject,
      by: 'product' as const,
      expected: words(expected, expected === 0 ? undefined : averageOf(counts)),
      counted: words(count, average),
    },
  ];
}

function inWords(summary: SummaryEntry | undefined): { counted: string } {
  if (!summary) return { counted: 'nothing' };
  const { counts, count, average } = summary;
  return {
    counted: isSound(summary) ? shown(counts) : `${shown(counts)}, count ${count}, average ${average}`,
  };
}

/** The number and the average are those of its values. */
function isSound({ counts, count, average }: SummaryEntry): boolean {
  return count === sum(counts) && average === averageOf(counts);
}

/** The nearest double, as the contract has it; 0 of none. */
function averageOf(counts: Histogram): number {
  const count = sum(counts);
  return count === 0 ? 0 : counts.reduce((total, each, n) => total + each * (n + 1), 0) / count;
}

function histograms(ratings: readonly RatingEntry[]): Map<string, Histogram> {
  const found = new Map<string, Histogram>();
  for (const { subject, value } of ratings) found.set(subject, add(found.get(subject) ?? NONE, unit(value)));
  return found;
}

/** One rating of a value. */
export function unit(value: number): Histogram {
  return NONE.map((_, n) => Number(n + 1 === value)) as unknown as Histogram;
}

export function add(a: Histogram, b: Histogram): Histogram {
  return a.map((count, n) => count + (b[n] ?? 0)) as unknown as Histogram;
}

const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);
const isSame = (a: Histogram, b: Histogram) => a.every((count, n) => count === b[n]);
/** From 1 to 5. */
const shown = (counts: Histogram) => counts.join(' ');
