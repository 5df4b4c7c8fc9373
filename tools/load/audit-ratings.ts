import { createHash } from 'node:crypto';
import { Code, ConnectError } from '@connectrpc/connect';
import { delay } from '@tradewind/process/backoff';
import { type Addresses, type Books, openBooks } from './books.ts';
import { type ExpectedRatings, type GivenFindings, judgeGiven } from './expected-ratings.ts';
import { type CountFindings, type Foreign, judgeCounts, type RatingBooks } from './judge-ratings.ts';
import {
  listProductRatings,
  listRatings,
  listTalks,
  ratingsOf,
  type StoreName,
  summariesOf,
} from './ratings-books.ts';
import { productSubject } from './subjects.ts';

export interface RatingsAuditOptions {
  readonly signal?: AbortSignal | undefined;
  /** What does not agree must stay so for so long, with nothing moving, before it counts. */
  readonly graceMs: number;
  /** How long to wait for two readings that agree. */
  readonly restMs: number;
  /** Products to ask about, also those that left the catalogue. */
  readonly products: readonly number[];
  /** Ratings that others told of. */
  readonly foreign?: Foreign | undefined;
  /** Ratings as whoever gave them knows them. */
  readonly expected?: ExpectedRatings | undefined;
  readonly onProgress?: ((text: string) => void) | undefined;
}

export interface RatingsReport extends CountFindings, GivenFindings {
  /** Nothing is wrong. */
  readonly ok: boolean;
  /** Two readings agreed. When not, other traffic went on all the time and nothing below is certain. */
  readonly atRest: boolean;
  readonly ratings: number;
  /** Of which somebody keeps a count. */
  readonly subjects: number;
  readonly stores: readonly StoreName[];
  /** Ids that the list of ratings gave twice. */
  readonly listedTwice: readonly string[];
}

/** Nothing of ratings was looked at. */
export interface RatingsSkipped {
  readonly ok: true;
  readonly skipped: string;
}

/** Reads until two readings agree, and what is wrong has stayed so for a while: an event may be on its way to whoever counts. */
export async function auditRatings(books: Books, options: RatingsAuditOptions): Promise<RatingsReport> {
  const { signal, graceMs, restMs, products, onProgress } = options;
  const began = performance.now();
  let before: string | undefined;
  let sameSince = began;
  for (;;) {
    onProgress?.('reading all ratings and their counts');
    const reading = await read(books, products);
    const now = performance.now();
    if (reading.digest !== before) sameSince = now;
    const report = reportOf(reading, options);
    const agrees = reading.digest === before;
    const atRest = agrees && (report.ok || now - sameSince > graceMs);
    if (atRest || now - began > restMs) return { ...report, atRest, ok: atRest && report.ok };
    if (before !== undefined) await delay(200, signal);
    before = reading.digest;
  }
}

interface Reading extends RatingBooks {
  readonly listedTwice: readonly string[];
  /** Equal for equal books. */
  readonly digest: string;
}

async function read(books: Books, products: readonly number[]): Promise<Reading> {
  const subjects = new Set<string>(products.map(productSubject));
  for await (const talk of listTalks(books)) subjects.add(talk);
  const ratings = new Map<string, RatingBooks['ratings'][number]>();
  const listedTwice: string[] = [];
  for await (const rating of listRatings(books)) {
    if (ratings.has(rating.id)) listedTwice.push(rating.id);
    ratings.set(rating.id, rating);
    subjects.add(rating.subject);
  }
  const stores: [StoreName, NonNullable<Awaited<ReturnType<typeof summariesOf>>>][] = [];
  for (const name of ['PostgreSQL', 'Redis'] as const) {
    const summaries = await summariesOf(books, [...subjects], name);
    if (summaries) stores.push([name, summaries]);
  }
  const rated = await Array.fromAsync(listProductRatings(books));
  const hash = createHash('sha256').update(JSON.stringify([[...ratings.values()], rated]));
  for (const [name, summaries] of stores) hash.update(JSON.stringify([name, [...summaries].sort()]));
  return {
    ratings: [...ratings.values()],
    stores: new Map(stores),
    products: rated,
    listedTwice,
    digest: hash.digest('hex'),
  };
}

function reportOf(reading: Reading, { foreign, expected }: RatingsAuditOptions): RatingsReport {
  const { ratings, stores, listedTwice } = reading;
  const counts = judgeCounts(reading, foreign);
  const given = expected ? judgeGiven(expected, ratings) : { lost: [], repeated: [], surplus: [] };
  const wrong = [listedTwice, ...Object.values(counts), ...Object.values(given)];
  return {
    ok: wrong.every((list) => list.length === 0),
    atRest: true,
    ratings: ratings.length,
    subjects: stores.get('PostgreSQL')?.size ?? 0,
    stores: [...stores.keys()],
    listedTwice,
    ...counts,
    ...given,
  };
}

/** How long nothing may answer before nobody is taken to be there. */
const KNOCK_MS = 2_000;

/** Why there is nothing to ask: nobody is there; undefined when somebody answers. */
export async function nobodyThere(addresses: Addresses, signal?: AbortSignal): Promise<string | undefined> {
  const books = openBooks({ ...addresses, signal, patienceMs: KNOCK_MS });
  try {
    await books.ask((options) => ratingsOf(books).listTalks({ pageSize: 1 }, options));
    return undefined;
  } catch (error) {
    const { code, rawMessage } = ConnectError.from(error);
    signal?.throwIfAborted();
    if (code !== Code.Unavailable) throw error;
    return `no ratings service answers at ${addresses.ratingsUrl}: ${rawMessage}`;
  }
}
