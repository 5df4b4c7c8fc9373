import { randomBytes } from 'node:crypto';
import { type Purchase, type PurchaseFile, productFor } from './purchases.ts';

/** One order that is to be placed, of one line. */
export interface PlannedOrder {
  /** The idempotency key: the run, the round, the row. The same on every attempt, unique among orders. */
  readonly key: string;
  /** `<run tag>/<the file's customer>`. */
  readonly customerId: string;
  readonly productId: number;
  readonly quantity: number;
  /** In cents. */
  readonly totalPrice: number;
}

/** Which rows of which file a run replays, written so that the tag alone says it. */
export interface RunTag {
  /** Tells this run from every other. */
  readonly id: string;
  readonly fingerprint: string;
  /** Rows replayed, from the file's beginning. */
  readonly rows: number;
  /** How many times each row is replayed. */
  readonly repeat: number;
}

const tagForm = /^load-([0-9a-z]{1,32})-([0-9a-f]{8})-(\d{1,9})x(\d{1,6})$/;

export function formatTag({ id, fingerprint, rows, repeat }: RunTag): string {
  return `load-${id}-${fingerprint}-${rows}x${repeat}`;
}

export function parseTag(text: string): RunTag | undefined {
  const [, id, fingerprint, rows, repeat] = tagForm.exec(text) ?? [];
  if (id === undefined || fingerprint === undefined) return undefined;
  return { id, fingerprint, rows: Number(rows), repeat: Number(repeat) };
}

/** The tag that a customer id begins with, or undefined for an order that no replay made. */
export function tagOf(customerId: string): string | undefined {
  const end = customerId.indexOf('/');
  const tag = end === -1 ? undefined : customerId.slice(0, end);
  return tag !== undefined && tagForm.test(tag) ? tag : undefined;
}

/** A tag that no other run has: the time and some chance. */
export function newTag(
  file: PurchaseFile,
  { limit, repeat }: { limit?: number | undefined; repeat: number },
): RunTag {
  const rows = Math.min(limit ?? file.purchases.length, file.purchases.length);
  const id = Date.now().toString(36) + randomBytes(3).toString('hex');
  return { id, fingerprint: file.fingerprint, rows, repeat };
}

/**
 * The orders of a run, in the order in which they are placed: the file from its beginning, `repeat` times.
 * @param catalogue product ids in ascending order
 */
export function planOrders(
  tag: RunTag,
  purchases: readonly Purchase[],
  catalogue: readonly number[],
): PlannedOrder[] {
  const name = formatTag(tag);
  const rows = purchases.slice(0, tag.rows);
  return Array.from({ length: tag.repeat }).flatMap((_, round) =>
    rows.map((purchase, row) => ({
      key: `${name}:${round + 1}:${row + 1}`,
      customerId: `${name}/${purchase.customer}`,
      productId: productFor(purchase, catalogue),
      quantity: purchase.quantity,
      totalPrice: purchase.amount,
    })),
  );
}

/** Pieces asked of each product. */
export function askedFor(orders: readonly PlannedOrder[]): Map<number, number> {
  const asked = new Map<number, number>();
  for (const { productId, quantity } of orders) asked.set(productId, (asked.get(productId) ?? 0) + quantity);
  return asked;
}
