import { OrderStatus } from '@tradewind/contracts/order/v1/order';
import { readAtRest } from './at-rest.ts';
import { auditRatings, nobodyThere, type RatingsReport, type RatingsSkipped } from './audit-ratings.ts';
import {
  type Addresses,
  type Books,
  defaultAddresses,
  type OrderEntry,
  openBooks,
  readCatalogue,
} from './books.ts';
import type { ExpectedRatings } from './expected-ratings.ts';
import { type ExpectedRun, judgeRun, type OffBalance, type RunFindings } from './judge.ts';
import type { Foreign } from './judge-ratings.ts';
import { parseTag, planOrders, tagOf } from './plan.ts';
import { type PurchaseFile, readPurchases } from './purchases.ts';

export interface AuditOptions extends Partial<Addresses> {
  /** Runs as their replay left them (`LoadReport.expected`). */
  readonly expected?: readonly ExpectedRun[];
  /** Ratings as whoever gave them knows them. */
  readonly expectedRatings?: ExpectedRatings;
  /** Ratings that others than the ratings service told of. */
  readonly foreign?: Foreign;
  /** The ratings service need not run: where nobody answers, that is said. */
  readonly ratingsMayBeAway?: boolean;
  /** Tags of runs that must be there whole, each row of the file once. */
  readonly runs?: readonly string[];
  /** The file that was replayed; the sample when left out. */
  readonly file?: string | URL;
  readonly signal?: AbortSignal;
  /** Orders still PENDING count as stuck when nothing has settled for so long. Default 60 s. */
  readonly stallMs?: number;
  /** What does not balance must stay so for so long, with nothing moving, before it counts. Default 5 s. */
  readonly graceMs?: number;
  /** How long to wait for two readings that agree. Default 120 s. */
  readonly restMs?: number;
  /** How long a service may be away. Default 60 s. */
  readonly patienceMs?: number;
  readonly onProgress?: (text: string, pending?: number) => void;
}

export interface RunReport extends RunFindings {
  readonly tag: string;
  readonly expected: number;
  readonly found: number;
  /** Rows that are missing are a finding; else the run was found in the books and may have been interrupted. */
  readonly whole: boolean;
}

export interface AuditReport {
  /** Nothing is wrong. */
  readonly ok: boolean;
  /** Two readings agreed. When not, other traffic went on all the time and nothing below is certain. */
  readonly atRest: boolean;
  readonly orders: { readonly total: number; readonly confirmed: number; readonly cancelled: number };
  readonly products: number;
  /** Ids of orders that stay PENDING. */
  readonly stuck: readonly string[];
  /** Ids that the list of orders gave twice. */
  readonly listedTwice: readonly string[];
  readonly off: readonly OffBalance[];
  readonly runs: readonly RunReport[];
  /** Left out where nobody was to be asked about ratings. */
  readonly ratings?: RatingsReport | RatingsSkipped;
}

/** Compares what was asked for with what is there, at rest, by public calls only. Moves nothing. */
export async function audit(options: AuditOptions = {}): Promise<AuditReport> {
  const {
    signal,
    stallMs = 60_000,
    graceMs = 5_000,
    restMs = 120_000,
    patienceMs = 60_000,
    onProgress,
  } = options;
  const books = openBooks({ ...defaultAddresses, ...given(options), signal, patienceMs });
  const reading = await readAtRest(books, { signal, stallMs, graceMs, restMs, onProgress });
  onProgress?.('comparing');
  const runs = await judgeRuns(books, options, reading.orders);
  const { stuck, atRest, listedTwice, off, orders, stock } = reading;
  const ratings = await ratingsPart(
    books,
    options,
    stock.map(({ productId }) => productId),
  );
  const wrong =
    [stuck, listedTwice, off].some((list) => list.length > 0) || runs.some(isWrong) || ratings?.ok === false;
  const count = (status: OrderStatus) => orders.filter((order) => order.status === status).length;
  return {
    ok: atRest && !wrong,
    atRest,
    orders: {
      total: orders.length,
      confirmed: count(OrderStatus.CONFIRMED),
      cancelled: count(OrderStatus.CANCELED),
    },
    products: stock.length,
    stuck,
    listedTwice,
    off,
    runs,
    ...(ratings && { ratings }),
  };
}

function given({ orderUrl, productUrl, stockUrl, ratingsUrl }: Partial<Addresses>): Partial<Addresses> {
  return {
    ...(orderUrl && { orderUrl }),
    ...(productUrl && { productUrl }),
    ...(stockUrl && { stockUrl }),
    ...(ratingsUrl && { ratingsUrl }),
  };
}

/** Ratings, where there is somebody to ask. */
async function ratingsPart(
  books: Books,
  options: AuditOptions,
  products: readonly number[],
): Promise<RatingsReport | RatingsSkipped | undefined> {
  const { signal, ratingsUrl, ratingsMayBeAway, graceMs = 5_000, restMs = 120_000, onProgress } = options;
  if (ratingsUrl === undefined) return undefined;
  const addresses = { ...defaultAddresses, ratingsUrl };
  const skipped = ratingsMayBeAway ? await nobodyThere(addresses, signal) : undefined;
  if (skipped !== undefined) return { ok: true, skipped };
  const { foreign, expectedRatings: expected } = options;
  return await auditRatings(books, { signal, graceMs, restMs, products, foreign, expected, onProgress });
}

function isWrong({ lost, repeated, missing, surplus, whole }: RunReport): boolean {
  return lost.length + repeated.length + surplus.length > 0 || (whole && missing.length > 0);
}

/** The runs that the caller knows, those that it names, and those that are found in the books. */
async function judgeRuns(
  books: Books,
  options: AuditOptions,
  orders: readonly OrderEntry[],
): Promise<RunReport[]> {
  const byTag = Map.groupBy(orders, ({ customerId }) => tagOf(customerId));
  const file = await readPurchases(options.file);
  const named = options.runs ?? [];
  const catalogue = named.length > 0 ? await readCatalogue(books) : [];
  const known = [...(options.expected ?? []), ...named.map((tag) => expectedRun(tag, file, catalogue))];
  const tags = new Set(known.map(({ tag }) => tag));
  const strangers = [...byTag.keys()].filter((tag) => tag !== undefined && !tags.has(tag));
  const others = strangers.flatMap((tag) =>
    tag !== undefined && parseTag(tag)?.fingerprint === file.fingerprint ? [expectedRun(tag, file)] : [],
  );
  const report = (run: ExpectedRun, whole: boolean): RunReport => {
    const found = byTag.get(run.tag) ?? [];
    return { tag: run.tag, expected: run.orders.length, found: found.length, whole, ...judgeRun(run, found) };
  };
  return [...known.map((run) => report(run, true)), ...others.map((run) => report(run, false))];
}

/** What a run's tag says about it. Without the catalogue that it was made with, products can't be told. */
function expectedRun(tag: string, file: PurchaseFile, catalogue?: readonly number[]): ExpectedRun {
  const parsed = parseTag(tag);
  if (!parsed) throw new Error(`"${tag}" is not the tag of a run, such as load-mfx1k2a-1b2c3d4e-6919x1`);
  if (parsed.fingerprint !== file.fingerprint) throw new Error(`run ${tag} replayed another file; name it`);
  return {
    tag,
    orders: planOrders(parsed, file.purchases, catalogue ?? [0]),
    ...(catalogue ? {} : { anyProduct: true }),
  };
}
