import { Code } from '@connectrpc/connect';
import { type AuditReport, audit } from './audit.ts';
import { type Addresses, type Books, defaultAddresses, openBooks, readCatalogue } from './books.ts';
import { wallClock } from './clock.ts';
import type { ExpectedRatings } from './expected-ratings.ts';
import type { ExpectedRun } from './judge.ts';
import { type Measures, measure } from './measure.ts';
import { createPlacer, type Protocol } from './place.ts';
import { type Placement, placeAll, type Unplaced } from './place-all.ts';
import { askedFor, formatTag, newTag, type PlannedOrder, parseTag, planOrders } from './plan.ts';
import { readPurchases } from './purchases.ts';
import { openRatings, type RatingRunReport } from './rate-all.ts';
import { type Restocked, restock } from './restock.ts';
import { untilSettled } from './settle.ts';

export type Phase = 'placing' | 'settling' | 'auditing';

export interface ReplayOptions extends Partial<Addresses> {
  /** The sample when left out. */
  readonly file?: string | URL;
  /** Only so many rows, from the file's beginning. */
  readonly limit?: number;
  /** How many times each row is replayed. Default 1. */
  readonly repeat?: number;
  readonly protocol?: Protocol;
  /** Requests under way at once. Default 64. */
  readonly clients?: number;
  /** Orders begun each second; as many as the clients can when left out. */
  readonly rate?: number;
  /** Before the run, make what is left of each product so much of what will be asked. Stock is not moved when left out. */
  readonly restock?: number;
  /** So many ratings for each order, given while the orders are placed; none when left out. */
  readonly ratings?: number;
  /** The ratings service need not run. */
  readonly ratingsMayBeAway?: boolean;
  /** Goes on with an interrupted run: its rows keep their keys, so those that were answered are not ordered again. */
  readonly run?: string;
  /** Audit afterwards. Default true. */
  readonly audit?: boolean;
  /** How long one order is tried. Default 120 s. */
  readonly patienceMs?: number;
  /** How long one attempt may take. Default 10 s. */
  readonly attemptMs?: number;
  /** Orders still PENDING count as stuck when nothing has settled for so long. Default 60 s. */
  readonly stallMs?: number;
  readonly signal?: AbortSignal;
  /** Told the run's tag before anything is placed. */
  readonly onRun?: (tag: string) => void;
  readonly onProgress?: (phase: Phase, done: number, total: number) => void;
}

export interface LoadReport extends Measures {
  /** Everything was answered and settled, and the audit, if there was one, found nothing. */
  readonly ok: boolean;
  readonly run: string;
  readonly protocol: Protocol;
  readonly clients: number;
  readonly orders: number;
  readonly accepted: number;
  /** Ids of orders that stay PENDING. */
  readonly stuck: readonly string[];
  readonly refused: readonly Unplaced[];
  readonly unanswered: readonly Unplaced[];
  /** Attempts that were repeated, by the name of the error's code. */
  readonly retries: Readonly<Record<string, number>>;
  readonly restocked?: Restocked;
  readonly ratings?: RatingRunReport;
  readonly audit?: AuditReport;
  /** What an audit must find, now and later. */
  readonly expected: ExpectedRun;
  readonly expectedRatings?: ExpectedRatings;
}

/** Replays a file of purchases as orders, waits until they have settled, measures, audits. */
export async function replay(options: ReplayOptions = {}): Promise<LoadReport> {
  const { signal, onRun, onProgress, patienceMs = 120_000, stallMs = 60_000 } = options;
  const addresses = addressesOf(options);
  const books = openBooks({ ...addresses, signal, patienceMs });
  const { tag, orders, catalogue } = await planRun(books, options);
  onRun?.(tag);
  const restocked =
    options.restock === undefined
      ? undefined
      : await restock(books, askedFor(orders), { key: tag, share: options.restock, signal });
  await using scope = new AsyncDisposableStack();
  const rating = await openRatings(scope, books, { ...options, tag, catalogue, orders: orders.length });
  const placement = await place(orders, addresses, options, (done) => rating?.upTo(done / orders.length));
  const rated = await rating?.finish();
  const { receipts } = placement;
  const ids = new Set(receipts.map(({ id }) => id));
  const stuck = await untilSettled(books, (id) => ids.has(id), {
    stallMs,
    signal,
    onPending: (pending) => onProgress?.('settling', ids.size - pending, ids.size),
  });
  const outcome = await measure(books, placement, options.run !== undefined);
  const expected = expectedOf(tag, placement);
  const expectedRatings = rating?.expected();
  const audited =
    options.audit === false
      ? undefined
      : await audit({
          ...addresses,
          expected: [expected],
          ...(expectedRatings && { expectedRatings }),
          ratingsMayBeAway: !rating && options.ratingsMayBeAway === true,
          stallMs,
          patienceMs,
          ...(options.file === undefined ? {} : { file: options.file }),
          ...(signal ? { signal } : {}),
          onProgress: () => onProgress?.('auditing', 0, 0),
        });
  const { refused, unanswered, retries } = placement;
  return {
    ok:
      stuck.length + refused.length + unanswered.length === 0 &&
      receipts.length === orders.length &&
      (rated === undefined || rated.given === rated.asked) &&
      (rated === undefined || rated.refused.length + rated.unanswered.length === 0) &&
      audited?.ok !== false,
    run: tag,
    protocol: options.protocol ?? 'rest',
    clients: options.clients ?? 64,
    orders: orders.length,
    accepted: receipts.length,
    ...outcome,
    stuck,
    refused,
    unanswered,
    retries: Object.fromEntries([...retries].map(([code, count]) => [Code[code], count])),
    ...(restocked ? { restocked } : {}),
    ...(rated ? { ratings: rated } : {}),
    ...(audited ? { audit: audited } : {}),
    expected,
    ...(expectedRatings ? { expectedRatings } : {}),
  };
}

function addressesOf({ orderUrl, productUrl, stockUrl, ratingsUrl }: ReplayOptions): Addresses {
  return {
    orderUrl: orderUrl ?? defaultAddresses.orderUrl,
    productUrl: productUrl ?? defaultAddresses.productUrl,
    stockUrl: stockUrl ?? defaultAddresses.stockUrl,
    ratingsUrl,
  };
}

async function planRun(books: Books, { file: path, limit, repeat = 1, run }: ReplayOptions) {
  const file = await readPurchases(path);
  const tag = run === undefined ? newTag(file, { limit, repeat }) : parseTag(run);
  if (!tag) throw new Error(`"${run}" is not the tag of a run, such as load-mfx1k2a-1b2c3d4e-6919x1`);
  if (tag.fingerprint !== file.fingerprint) throw new Error(`run ${run} replayed another file; name it`);
  const catalogue = await readCatalogue(books);
  return { tag: formatTag(tag), catalogue, orders: planOrders(tag, file.purchases, catalogue) };
}

async function place(
  orders: PlannedOrder[],
  { orderUrl }: Addresses,
  options: ReplayOptions,
  onPlaced: (done: number) => void,
): Promise<Placement> {
  const {
    protocol = 'rest',
    clients = 64,
    rate,
    patienceMs = 120_000,
    attemptMs = 10_000,
    signal,
    onProgress,
  } = options;
  await using placer = createPlacer(protocol, { orderUrl, clients, attemptMs });
  // What is under way ends at once instead of after its time-out.
  const stop = () => void placer[Symbol.asyncDispose]();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    return await placeAll(orders, placer, {
      clients,
      rate,
      patienceMs,
      now: wallClock(),
      signal,
      onPlaced(done) {
        onPlaced(done);
        onProgress?.('placing', done, orders.length);
      },
    });
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

function expectedOf(tag: string, { receipts, unanswered }: Placement): ExpectedRun {
  return {
    tag,
    orders: receipts.map(({ order }) => order),
    perhaps: unanswered.map(({ order }) => order),
    receipts: receipts.map(({ id, order }) => ({ id, order })),
  };
}
