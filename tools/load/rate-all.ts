import { delay } from '@tradewind/process/backoff';
import type { Books } from './books.ts';
import type { ExpectedRatings, GivenRating, Wish } from './expected-ratings.ts';
import { type PlannedRating, rate } from './rate.ts';
import { createRater, type Rater } from './rater.ts';
import { customersFor, planRatings } from './rating-plan.ts';
import { listTalks, summariesOf } from './ratings-books.ts';
import { productSubject, providerSubject } from './subjects.ts';
import { type Patience, untilAnswered } from './until-answered.ts';

export interface RatingRunReport {
  readonly asked: number;
  readonly given: number;
  readonly changed: number;
  /** Answered with an error that will not pass, or with another rating than was asked for. */
  readonly refused: readonly string[];
  readonly unanswered: readonly string[];
}

export interface RatingRunOptions {
  readonly tag: string;
  /** So many ratings. */
  readonly count: number;
  /** Product ids. */
  readonly catalogue: readonly number[];
  readonly patience: Patience;
}

/** Requests under way at once. */
const RATERS = 8;
const PROVIDERS = 3;

/** Customers of one run who rate: talks, products, service providers; a fifth of them think again. */
export class RatingRun {
  readonly #rater: Rater;
  readonly #patience: Patience;
  readonly #plan: readonly PlannedRating[];
  readonly #customers: ReadonlySet<string>;
  readonly #given: GivenRating[] = [];
  readonly #perhaps: Wish[] = [];
  readonly #refused: string[] = [];
  readonly #unanswered: string[] = [];
  readonly #underWay = new Set<Promise<void>>();
  #changed = 0;
  #next = 0;
  #due = 0;

  /** Makes customers and service providers known, and waits until the catalogue's products are. */
  static async open(
    books: Books,
    rater: Rater,
    { tag, count, catalogue, patience }: RatingRunOptions,
  ): Promise<RatingRun> {
    const people = (whom: 'customers' | 'service-providers', number: number) =>
      Promise.all(
        Array.from({ length: number }, (_, n) => {
          const name = `${tag}-${whom}-${n + 1}`;
          return untilAnswered(() => rater.know(`${name}:know`, whom, name), patience);
        }),
      );
    const providers = await people('service-providers', PROVIDERS);
    const subjects = [...catalogue.map(productSubject), ...providers.map(providerSubject)];
    const customers = await people('customers', customersFor(count, subjects.length));
    const talks = await Array.fromAsync(listTalks(books));
    await untilKnown(books, subjects, patience);
    return new RatingRun(rater, patience, planRatings(tag, count, { talks, subjects, customers }), customers);
  }

  private constructor(
    rater: Rater,
    patience: Patience,
    plan: readonly PlannedRating[],
    customers: readonly string[],
  ) {
    this.#rater = rater;
    this.#patience = patience;
    this.#plan = plan;
    this.#customers = new Set(customers);
  }

  /** Lets the customers of so large a share of all ratings, 0 to 1, begin. */
  upTo(share: number): void {
    this.#due = Math.max(this.#due, Math.min(this.#plan.length, Math.floor(share * this.#plan.length)));
    // After the first that is not answered no new one is begun.
    while (this.#next < this.#due && this.#underWay.size < RATERS && this.#unanswered.length === 0)
      this.#begin();
  }

  /** Lets all of them; resolves when the last one is answered. Rejects with the signal's reason when it is aborted. */
  async finish(): Promise<RatingRunReport> {
    this.upTo(1);
    while (this.#underWay.size > 0) await Promise.race(this.#underWay);
    this.#patience.signal?.throwIfAborted();
    return {
      asked: this.#plan.length,
      given: this.#given.length,
      changed: this.#changed,
      refused: this.#refused,
      unanswered: this.#unanswered,
    };
  }

  /** What an audit must find. Anybody else may rate the same talks. */
  expected(): ExpectedRatings {
    return {
      given: this.#given,
      perhaps: this.#perhaps,
      mine: ({ customerId }) => this.#customers.has(customerId),
    };
  }

  #begin(): void {
    const planned = this.#plan[this.#next++];
    if (!planned) return;
    const work = this.#one(planned)
      .catch(() => undefined)
      .finally(() => {
        this.#underWay.delete(work);
        if (!this.#patience.signal?.aborted) this.upTo(0);
      });
    this.#underWay.add(work);
  }

  async #one(planned: PlannedRating): Promise<void> {
    const { given, changed, perhaps, trouble } = await rate(this.#rater, planned, this.#patience);
    if (given) this.#given.push(given);
    if (changed) this.#changed += 1;
    if (perhaps) this.#perhaps.push(perhaps);
    if (trouble) (trouble.answered ? this.#refused : this.#unanswered).push(trouble.error);
  }
}

export interface RatingShare {
  readonly ratingsUrl?: string | undefined;
  /** Ratings for each order. */
  readonly ratings?: number | undefined;
  readonly tag: string;
  readonly catalogue: readonly number[];
  readonly orders: number;
  readonly patienceMs?: number | undefined;
  readonly attemptMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Those who rate while orders are placed; undefined when nobody is to. */
export async function openRatings(
  scope: AsyncDisposableStack,
  books: Books,
  run: RatingShare,
): Promise<RatingRun | undefined> {
  const { tag, catalogue, orders, ratings: share = 0, ratingsUrl, signal } = run;
  if (share === 0 || ratingsUrl === undefined) return undefined;
  const { patienceMs = 120_000, attemptMs = 10_000 } = run;
  const rater = scope.use(createRater({ ratingsUrl, clients: RATERS, attemptMs }));
  const count = Math.round(orders * share);
  return await RatingRun.open(books, rater, { tag, count, catalogue, patience: { signal, patienceMs } });
}

/** Resolves when the ratings service has heard of all these subjects. Rejects when it does not within the patience. */
export async function untilKnown(
  books: Books,
  subjects: readonly string[],
  { signal, patienceMs }: Patience,
): Promise<void> {
  for (const deadline = Date.now() + patienceMs; ; await delay(100, signal)) {
    const known = await summariesOf(books, subjects, 'PostgreSQL');
    const missing = subjects.filter((subject) => !known?.has(subject));
    if (missing.length === 0) return;
    if (Date.now() > deadline)
      throw new Error(`the ratings service has not heard of ${missing.slice(0, 5).join(', ')}`);
  }
}
