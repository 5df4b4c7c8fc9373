import { OrderStatus } from '@tradewind/contracts/order/v1/order';
import type { Books } from './books.ts';
import { percentile } from './clock.ts';
import type { Placement, Receipt } from './place-all.ts';
import { ordersSince } from './settle.ts';

/** Milliseconds. */
export interface Latency {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

export interface Measures {
  readonly confirmed: number;
  readonly cancelled: number;
  /** From the first request to the last answer. */
  readonly acceptedPerSecond: number;
  /** From the first request to the last order settled. */
  readonly settledPerSecond: number;
  /** What the two are measured over. */
  readonly seconds: { readonly accepted: number; readonly settled: number };
  /** From an order's first request to its answer. */
  readonly answerMs: Latency;
  /** From an order's first request to the moment that the order service wrote on it as `updated_at` when it settled. */
  readonly settledMs: Latency;
  /** At least so far is the order service's clock from this machine's; over 5 ms, `settledMs` is off by that. */
  readonly clockSkewMs: number;
}

/**
 * What became of the orders, and how fast, from the times that the order service wrote on them.
 * @param resumed an earlier part of the run may have made some of the orders
 */
export async function measure(
  books: Books,
  { receipts, startedAtMs }: Placement,
  resumed: boolean,
): Promise<Measures> {
  const created = receipts.reduce((first, { createdAtMs }) => Math.min(first, createdAtMs), startedAtMs);
  const found = await ordersSince(books, created);
  const entries = receipts.flatMap((receipt) => {
    const entry = found.get(receipt.id);
    return entry ? [{ receipt, entry }] : [];
  });
  const settled = entries.filter(({ entry }) => entry.status !== OrderStatus.PENDING);
  const answered = receipts.reduce((last, { answeredAtMs }) => Math.max(last, answeredAtMs), startedAtMs);
  const end = settled.reduce((last, { entry }) => Math.max(last, entry.updatedAtMs), startedAtMs);
  // Of an order that an earlier part of the run has made, the first request is not known.
  const timed = settled.filter(
    ({ receipt }) => !resumed || receipt.createdAtMs > receipt.requestedAtMs - 1_000,
  );
  const count = (status: OrderStatus) => settled.filter(({ entry }) => entry.status === status).length;
  const seconds = { accepted: (answered - startedAtMs) / 1_000, settled: (end - startedAtMs) / 1_000 };
  return {
    confirmed: count(OrderStatus.CONFIRMED),
    cancelled: count(OrderStatus.CANCELED),
    acceptedPerSecond: perSecond(receipts.length, seconds.accepted),
    settledPerSecond: perSecond(settled.length, seconds.settled),
    seconds,
    answerMs: latency(receipts.map(({ answeredAtMs, requestedAtMs }) => answeredAtMs - requestedAtMs)),
    settledMs: latency(timed.map(({ receipt, entry }) => entry.updatedAtMs - receipt.requestedAtMs)),
    clockSkewMs: skew(timed.map(({ receipt }) => receipt)),
  };
}

const perSecond = (count: number, seconds: number) => (seconds > 0 ? count / seconds : 0);

function latency(milliseconds: number[]): Latency {
  const sorted = milliseconds.sort((a, b) => a - b);
  const of = (percent: number) => Math.max(0, percentile(sorted, percent));
  return { p50: of(50), p95: of(95), p99: of(99), max: of(100) };
}

/** With one clock, each order is created between its request and its answer; the smallest miss is how far two clocks differ at least. */
function skew(receipts: readonly Receipt[]): number {
  const misses = receipts.map(({ createdAtMs, requestedAtMs, answeredAtMs }) =>
    // created_at may be cut to whole milliseconds.
    Math.max(0, requestedAtMs - 1 - createdAtMs, createdAtMs - answeredAtMs),
  );
  return misses.length > 0 ? misses.reduce((least, miss) => Math.min(least, miss)) : 0;
}
