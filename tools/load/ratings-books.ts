import { Code, ConnectError } from '@connectrpc/connect';
import type { Product } from '@tradewind/contracts/product/v1/product';
import { Store, type Summary } from '@tradewind/contracts/ratings/v1/summary';
import { type Books, paged } from './books.ts';
import { aboutOf, subjectOf } from './subjects.ts';

/** Ratings of each value, from 1 to 5. */
export type Histogram = readonly [number, number, number, number, number];

export const NONE: Histogram = [0, 0, 0, 0, 0];

/** What an audit wants to know of a rating. */
export interface RatingEntry {
  readonly id: string;
  readonly subject: string;
  /** Empty for a talk's. */
  readonly customerId: string;
  readonly value: number;
  readonly comment: string;
  readonly revision: number;
}

/** How a subject was rated, as a store has it. */
export interface SummaryEntry {
  readonly counts: Histogram;
  readonly count: number;
  readonly average: number;
}

/** How a product was rated, as the product service has it. */
export interface ProductEntry {
  readonly productId: number;
  /** Undefined when nobody rated it. */
  readonly average: number | undefined;
  readonly count: number;
}

const pageSize = 1_000;

/** The books of ratings, of whoever knows where they are. @throws Error when nobody does */
export function ratingsOf({ ratings }: Books): NonNullable<Books['ratings']> {
  if (!ratings) throw new Error('nobody knows where the ratings service is');
  return ratings;
}

/** The newest first. */
export function listRatings(books: Books): AsyncGenerator<RatingEntry> {
  const client = ratingsOf(books);
  return paged(async (pageToken) => {
    const { ratings, nextPageToken } = await books.ask((options) =>
      client.listRatings({ pageSize, pageToken }, options),
    );
    const items = ratings.map(({ id, subject, customerId, value, comment, revision }) => ({
      id,
      subject: subjectOf(subject?.about ?? { case: undefined }),
      customerId,
      value,
      comment,
      revision: Number(revision),
    }));
    return { items, nextPageToken };
  });
}

/** The ids of all talks. */
export function listTalks(books: Books): AsyncGenerator<string> {
  const client = ratingsOf(books);
  return paged(async (pageToken) => {
    const { talks, nextPageToken } = await books.ask((options) =>
      client.listTalks({ pageSize, pageToken }, options),
    );
    return { items: talks.map(({ id }) => id), nextPageToken };
  });
}

export const stores = { PostgreSQL: Store.POSTGRESQL, Redis: Store.REDIS } as const;
export type StoreName = keyof typeof stores;

/** What a store has of subjects, without those that nobody knows; undefined when there is no such store. */
export async function summariesOf(
  books: Books,
  subjects: readonly string[],
  store: StoreName,
): Promise<Map<string, SummaryEntry> | undefined> {
  const client = ratingsOf(books);
  const found = new Map<string, SummaryEntry>();
  for (let from = 0; from < subjects.length; from += pageSize) {
    const page = subjects.slice(from, from + pageSize).map((subject) => ({ about: aboutOf(subject) }));
    const answer = await books
      .ask((options) => client.batchGetSummaries({ subjects: page, store: stores[store] }, options))
      .catch((error: unknown) => {
        if (ConnectError.from(error).code === Code.FailedPrecondition) return undefined;
        throw error;
      });
    if (!answer) return undefined;
    for (const summary of answer.summaries)
      found.set(subjectOf(summary.subject?.about ?? { case: undefined }), entryOf(summary));
  }
  return found;
}

function entryOf({ counts, count, average }: Summary): SummaryEntry {
  const of = (value: number) => Number(counts[value] ?? 0);
  return { counts: [of(1), of(2), of(3), of(4), of(5)], count: Number(count), average };
}

/** How the catalogue's products were rated; of those that left it, the product service tells nothing. */
export function listProductRatings({ products, ask }: Books): AsyncGenerator<ProductEntry> {
  return paged(async (pageToken) => {
    const answer = await ask((options) => products.listProducts({ pageSize, pageToken }, options));
    return { items: answer.products.map(productEntry), nextPageToken: answer.nextPageToken };
  });
}

function productEntry({ id, rating, ratingCount }: Product): ProductEntry {
  return { productId: id, average: rating, count: Number(ratingCount) };
}
