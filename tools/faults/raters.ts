import { delay } from '@tradewind/process/backoff';
import type { Chance } from '../kills/chance.ts';
import type { ExpectedRatings, GivenRating, Wish } from '../load/expected-ratings.ts';
import { type PlannedRating, rate } from '../load/rate.ts';
import { createRater, type Rater } from '../load/rater.ts';
import { productSubject, providerSubject } from '../load/subjects.ts';
import { type Patience, untilAnswered } from '../load/until-answered.ts';

export interface RatersOptions {
  readonly ratingsUrl: string;
  /** Begins each key and name; unique to the run. */
  readonly tag: string;
  readonly dice: Chance;
  readonly talks: readonly string[];
  /** Gives a product's id. */
  readonly product: () => number;
  readonly patience: Patience;
  readonly attemptMs: number;
}

/** Of ratings: of talks; of the others, of products. */
const TALKS = 0.4;
const PRODUCTS = 0.7;
/** Of customers: those who think again, some moments later. */
const CHANGES = 0.3;
const THINK_MS = 500;
const PROVIDERS = 3;

/** Customers who rate. It knows what must be there afterwards. */
export class Raters implements AsyncDisposable {
  readonly #options: RatersOptions;
  readonly #rater: Rater;
  readonly #given: GivenRating[] = [];
  readonly #perhaps: Wish[] = [];
  #providers: Promise<readonly string[]> | undefined;
  #begun = 0;

  constructor(options: RatersOptions) {
    const { ratingsUrl, attemptMs } = options;
    this.#options = options;
    this.#rater = createRater({ ratingsUrl, clients: 50, attemptMs });
  }

  get accepted(): number {
    return this.#given.length;
  }

  /** What an audit must find. Nobody else calls the ratings service. */
  expected(): ExpectedRatings {
    return { given: this.#given, perhaps: this.#perhaps, mine: () => true };
  }

  /** One more customer rates. Rejects with what no customer should hear. */
  async one(): Promise<void> {
    const { tag, patience } = this.#options;
    this.#begun += 1;
    const planned = await this.#planned(`${tag}-rating-${this.#begun}`);
    const { given, perhaps, trouble } = await rate(this.#rater, planned, patience);
    if (given) this.#given.push(given);
    if (perhaps) this.#perhaps.push(perhaps);
    if (trouble) throw new Error(`the rating was not accepted: ${trouble.error}`);
  }

  async #planned(key: string): Promise<PlannedRating> {
    const { dice, talks, product, patience } = this.#options;
    const value = 1 + dice.below(5);
    const talk = dice.next() < TALKS ? talks[dice.below(talks.length)] : undefined;
    if (talk !== undefined) return { key, wish: { subject: talk, customerId: '', value, comment: '' } };
    const rated = dice.next() < PRODUCTS ? product() : undefined;
    const pick = dice.below(PROVIDERS);
    const change = dice.next() < CHANGES ? { value: 1 + dice.below(5), comment: 'thought again' } : undefined;
    const think = delay(change ? dice.below(THINK_MS) : 0, patience.signal);
    this.#providers ??= Promise.all(
      Array.from({ length: PROVIDERS }, (_, n) => this.#know('service-providers', n + 1)),
    );
    const providers = await this.#providers;
    const subject = rated === undefined ? providerSubject(providers[pick] ?? '') : productSubject(rated);
    const customerId = await this.#know('customers', key);
    await think;
    return { key, wish: { subject, customerId, value, comment: 'Größe 👍' }, ...(change && { change }) };
  }

  #know(whom: 'customers' | 'service-providers', who: string | number): Promise<string> {
    const { tag, patience } = this.#options;
    const name = `${tag}-${whom}-${who}`.slice(-60);
    return untilAnswered(() => this.#rater.know(`${name}-know`, whom, name), patience);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#rater[Symbol.asyncDispose]();
  }
}
