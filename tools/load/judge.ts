import { OrderStatus } from '@tradewind/contracts/order/v1/order';
import type { OrderEntry, StockEntry } from './books.ts';
import type { PlannedOrder } from './plan.ts';

/** A run as it should be found in the books. */
export interface ExpectedRun {
  readonly tag: string;
  /** Each of these must be there exactly once. */
  readonly orders: readonly PlannedOrder[];
  /** Each of these may be there once: nobody knows, for no answer came. */
  readonly perhaps?: readonly PlannedOrder[];
  /** Ids that were given in answers, each with what it was given for. */
  readonly receipts?: readonly { readonly id: string; readonly order: PlannedOrder }[];
  /** The catalogue was another one when the run was made, so products can't be told from the file. */
  readonly anyProduct?: boolean;
}

/** What is wrong with a run; ids of orders, or rows written out. */
export interface RunFindings {
  /** Given in an answer, and not there, or not as it was asked for. */
  readonly lost: string[];
  /** Given in more than one answer. */
  readonly repeated: string[];
  /** Asked for, and no order stands for it. */
  readonly missing: string[];
  /** Orders of this run that nobody asked for: doubled, or changed. */
  readonly surplus: string[];
}

/** Compares the orders of a run with what they should be, as multisets of customer, product, pieces and money. */
export function judgeRun(expected: ExpectedRun, found: readonly OrderEntry[]): RunFindings {
  const { orders, perhaps = [], receipts = [], anyProduct = false } = expected;
  const known = new Map(found.map((order) => [order.id, order]));
  const times = countBy(receipts.map(({ id }) => id));
  const lost = receipts.filter(({ id, order }) => {
    const entry = known.get(id);
    return !entry || asFound(entry, anyProduct) !== asPlanned(order, anyProduct);
  });
  const groups = Map.groupBy(found, (entry) => asFound(entry, anyProduct));
  const must = countBy(orders.map((order) => asPlanned(order, anyProduct)));
  const may = countBy(perhaps.map((order) => asPlanned(order, anyProduct)));
  const missing: string[] = [];
  for (const [row, count] of must) {
    const there = groups.get(row)?.length ?? 0;
    if (there < count) missing.push(count - there > 1 ? `${row} (${count - there} times)` : row);
  }
  const surplus: string[] = [];
  for (const [row, entries] of groups) {
    const excess = entries.length - (must.get(row) ?? 0) - (may.get(row) ?? 0);
    // Those that no answer named are the likelier ones.
    const suspects = entries.toSorted((a, b) => Number(times.has(a.id)) - Number(times.has(b.id)));
    if (excess > 0) surplus.push(...suspects.slice(0, excess).map(({ id }) => id));
  }
  return {
    lost: [...new Set(lost.map(({ id }) => id))],
    repeated: [...times].filter(([, count]) => count > 1).map(([id]) => id),
    missing,
    surplus,
  };
}

type Line = { productId: number; quantity: number; totalPrice: number };

function asPlanned({ customerId, ...line }: PlannedOrder, anyProduct: boolean): string {
  return describe(customerId, [line], 'USD', anyProduct);
}

function asFound({ customerId, lines, totalPrice, currency }: OrderEntry, anyProduct: boolean): string {
  const text = describe(customerId, lines, currency, anyProduct);
  const sum = lines.reduce((total, line) => total + line.totalPrice, 0);
  return sum === totalPrice ? text : `${text}, in all ${totalPrice}`;
}

function describe(customerId: string, lines: readonly Line[], currency: string, anyProduct: boolean): string {
  const texts = lines.map(({ productId, quantity, totalPrice }) =>
    [...(anyProduct ? [] : [`product ${productId}`]), `${quantity} pieces`, `${totalPrice} ${currency}`].join(
      ', ',
    ),
  );
  return `${customerId}: ${texts.join(' and ')}`;
}

function countBy(keys: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}

/** A product whose books do not balance, in pieces. */
export interface OffBalance {
  readonly productId: number;
  /** Stock tells of it. */
  readonly listed: boolean;
  readonly putIn: number;
  readonly left: number;
  /** By orders that are not cancelled. */
  readonly held: number;
  /** What is there too much (sold and not taken), or too little when negative (taken and not sold). */
  readonly difference: number;
}

/**
 * For every product: put in = left + held by orders that are not cancelled, and left is not below zero. An order that is still PENDING
 * may hold its goods or not yet.
 */
export function judgeStock(stock: readonly StockEntry[], orders: readonly OrderEntry[]): OffBalance[] {
  const held = heldBy(orders, OrderStatus.CONFIRMED);
  const open = heldBy(orders, OrderStatus.PENDING);
  const known = new Map(stock.map((entry) => [entry.productId, entry]));
  const products = new Set([...known.keys(), ...held.keys()]);
  return [...products].flatMap((productId) => {
    const { quantity: left, putIn } = known.get(productId) ?? { quantity: 0, putIn: 0 };
    const holds = held.get(productId) ?? 0;
    const difference = left + holds - putIn;
    const balanced = difference <= 0 && -difference <= (open.get(productId) ?? 0);
    if (balanced && left >= 0) return [];
    return [{ productId, listed: known.has(productId), putIn, left, held: holds, difference }];
  });
}

function heldBy(orders: readonly OrderEntry[], status: OrderStatus): Map<number, number> {
  const pieces = new Map<number, number>();
  for (const order of orders) {
    if (order.status !== status) continue;
    for (const { productId, quantity } of order.lines)
      pieces.set(productId, (pieces.get(productId) ?? 0) + quantity);
  }
  return pieces;
}
