import { randomBytes } from 'node:crypto';
import type { ConnectError } from '@connectrpc/connect';
import { OrderStatus } from '@tradewind/contracts/order/v1/order';
import { delay } from '@tradewind/process/backoff';
import { type Chance, chance } from '../kills/chance.ts';
import { type Books, openBooks } from '../load/books.ts';
import type { ExpectedRatings } from '../load/expected-ratings.ts';
import type { ExpectedRun } from '../load/judge.ts';
import { createPlacer, type Placer } from '../load/place.ts';
import type { PlannedOrder } from '../load/plan.ts';
import { untilAnswered } from '../load/until-answered.ts';
import { Raters } from './raters.ts';
import type { AllAddresses } from './world.ts';

export interface TrafficOptions {
  readonly addresses: AllAddresses;
  readonly seed: number;
  /** Product ids, ascending. */
  readonly catalogue: readonly number[];
  readonly talks: readonly string[];
  readonly signal: AbortSignal;
}

/** Orders begun each second when nothing else is asked for. */
const RATE = 25;
const TICK_MS = 40;
/** More than so many wait for nobody's answer: customers do not stand in an endless queue. */
const UNDER_WAY = 250;
/** How long one order is tried, with one key. */
const PATIENCE_MS = 150_000;
const ATTEMPT_MS = 5_000;
const CANCELS = 0.06;
/** So many orders are followed by goods coming in, 18 pieces on average: nine tenths of what is asked. */
const RESTOCKS = 0.1;
const PIECES = 3;
/** So many who order rate something, too. */
const RATES = 0.1;

/** Customers: they order without end, change their minds, rate, and goods come in. It knows what must be there afterwards. */
export class Traffic implements AsyncDisposable {
  /** Answered as cancelled. */
  readonly canceled = new Set<string>();
  /** Pieces that came in since the beginning, by product; each was answered. */
  readonly restocked = new Map<number, number>();
  /** What no customer should hear. */
  readonly troubles: string[] = [];
  retries = 0;
  readonly #onRetry = (_: ConnectError) => {
    this.retries += 1;
  };
  readonly #options: TrafficOptions;
  readonly #tag = `load-${randomBytes(6).toString('hex')}-${randomBytes(4).toString('hex')}-1x1`;
  readonly #over = new AbortController();
  readonly #dice: Chance;
  readonly #placers: readonly Placer[];
  readonly #books: Books;
  readonly #raters: Raters;
  readonly #receipts: { id: string; order: PlannedOrder }[] = [];
  readonly #perhaps: PlannedOrder[] = [];
  readonly #underWay = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #begun = 0;
  #owed = 0;

  constructor(options: TrafficOptions) {
    const { addresses, seed } = options;
    const own = { ...options, signal: AbortSignal.any([options.signal, this.#over.signal]) };
    this.#options = own;
    this.#dice = chance(seed);
    const { orderUrl } = addresses;
    this.#placers = (['rest', 'grpc', 'connect'] as const).map((protocol) =>
      createPlacer(protocol, { orderUrl, clients: 100, attemptMs: ATTEMPT_MS }),
    );
    this.#books = openBooks({ ...addresses, signal: own.signal, patienceMs: PATIENCE_MS });
    const { ratingsUrl } = addresses;
    this.#raters = new Raters({
      ratingsUrl,
      tag: this.#tag,
      dice: this.#dice,
      talks: options.talks,
      product: () => this.#product(),
      patience: { signal: own.signal, patienceMs: PATIENCE_MS, onRetry: this.#onRetry },
      attemptMs: ATTEMPT_MS,
    });
  }

  get accepted(): number {
    return this.#receipts.length;
  }

  get rated(): number {
    return this.#raters.accepted;
  }

  /** The ratings that an audit must find. */
  get ratings(): ExpectedRatings {
    return this.#raters.expected();
  }

  /** What an audit must find. */
  expected(): ExpectedRun {
    const orders = this.#receipts.map(({ order }) => order);
    return { tag: this.#tag, orders, perhaps: this.#perhaps, receipts: this.#receipts };
  }

  resume(): void {
    this.#timer ??= setInterval(() => {
      this.#owed += (RATE * TICK_MS) / 1_000;
      // Customers come in groups.
      if (this.#dice.next() < 0.01) this.#owed += 60;
      for (; this.#owed >= 1 && this.#underWay.size < UNDER_WAY; this.#owed -= 1) this.#begin();
      this.#owed = Math.min(this.#owed, 1);
    }, TICK_MS);
  }

  /** So many more at once. */
  burst(orders: number): void {
    for (let n = 0; n < orders && this.#underWay.size < UNDER_WAY; n += 1) this.#begin();
  }

  /** So many rate, at once. */
  rate(ratings: number): void {
    for (let n = 0; n < ratings && this.#underWay.size < UNDER_WAY; n += 1)
      this.#begin(() => this.#raters.one());
  }

  /** No more orders; resolves when all that were begun are answered, or were given up. */
  async pause(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#over.abort(new Error('the run is over'));
    await Promise.all([...this.#placers, this.#raters].map((one) => one[Symbol.asyncDispose]()));
    await Promise.allSettled(this.#underWay);
  }

  #begin(customer = () => this.#customer()): void {
    const work = customer()
      .catch((error: unknown) => {
        if (!this.#options.signal.aborted)
          this.troubles.push(error instanceof Error ? error.message : String(error));
      })
      .finally(() => this.#underWay.delete(work));
    this.#underWay.add(work);
  }

  async #customer(): Promise<void> {
    const dice = this.#dice;
    const order = this.#planned();
    const cancelsAfter = dice.next() < CANCELS ? dice.below(200) : undefined;
    const restock =
      dice.next() < RESTOCKS ? { productId: this.#product(), pieces: 1 + dice.below(35) } : undefined;
    const placer = this.#placers[dice.below(this.#placers.length)];
    if (!placer) return;
    if (dice.next() < RATES) this.rate(1);
    const id = await this.#place(order, placer);
    if (restock) await this.#restock(restock, order.key);
    if (id === undefined || cancelsAfter === undefined) return;
    await delay(cancelsAfter, this.#options.signal);
    const answer = await this.#books.ask((options) => this.#books.orders.cancelOrder({ id }, options));
    if (answer.order?.status === OrderStatus.CANCELED) this.canceled.add(id);
    else this.troubles.push(`order ${id} was cancelled, and the answer says it is not`);
  }

  async #place(order: PlannedOrder, placer: Placer): Promise<string | undefined> {
    const { signal } = this.#options;
    const since = performance.now();
    try {
      const { id } = await untilAnswered(() => placer.place(order), {
        signal,
        patienceMs: PATIENCE_MS,
        onRetry: this.#onRetry,
      });
      this.#receipts.push({ id, order });
      return id;
    } catch (error) {
      this.#perhaps.push(order);
      const waited = `${Math.round((performance.now() - since) / 1_000)} s`;
      throw new Error(`the order ${order.key} was not accepted after ${waited}: ${String(error)}`);
    }
  }

  async #restock({ productId, pieces }: { productId: number; pieces: number }, key: string): Promise<void> {
    const { stock, ask } = this.#books;
    const headers = { 'idempotency-key': `${key}:restock` };
    await ask((options) => stock.adjustStock({ productId, delta: BigInt(pieces) }, { ...options, headers }));
    this.restocked.set(productId, (this.restocked.get(productId) ?? 0) + pieces);
  }

  #planned(): PlannedOrder {
    const dice = this.#dice;
    this.#begun += 1;
    return {
      key: `${this.#tag}:${this.#begun}`,
      customerId: `${this.#tag}/${this.#begun}`,
      productId: this.#product(),
      quantity: 1 + dice.below(PIECES),
      totalPrice: 100 * (1 + dice.below(1_000)),
    };
  }

  /** Some are asked for much more than others. */
  #product(): number {
    const { catalogue } = this.#options;
    const product = catalogue[Math.floor(this.#dice.next() ** 2 * catalogue.length)];
    if (product === undefined) throw new Error('the catalogue is empty');
    return product;
  }
}
