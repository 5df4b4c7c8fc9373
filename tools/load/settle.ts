import { OrderStatus } from '@tradewind/contracts/order/v1/order';
import { delay } from '@tradewind/process/backoff';
import { type Books, listOrders, type OrderEntry } from './books.ts';

export interface SettleOptions {
  /** What still waits counts as stuck when nothing has settled for so long. */
  readonly stallMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly onPending?: ((pending: number) => void) | undefined;
}

/**
 * Waits until none of the orders is PENDING, by listing what is: one short page when nothing is, and never one call an order.
 * @param mine which orders matter
 * @returns ids of those that are stuck; none when all is well
 */
export async function untilSettled(
  books: Books,
  mine: (id: string) => boolean,
  { stallMs, signal, onPending }: SettleOptions,
): Promise<string[]> {
  let before = new Set<string>();
  let progressAt = performance.now();
  for (;;) {
    const began = performance.now();
    const pending = new Set<string>();
    for await (const { id } of listOrders(books, OrderStatus.PENDING)) if (mine(id)) pending.add(id);
    onPending?.(pending.size);
    if (pending.size === 0) return [];
    // One that was there before and is gone now is progress, whatever came newly.
    if (before.size === 0 || [...before].some((id) => !pending.has(id))) progressAt = performance.now();
    if (performance.now() - progressAt > stallMs) return [...pending];
    before = pending;
    // Looking must not cost the services more than a tenth of their time.
    await delay(Math.min(2_000, Math.max(50, (performance.now() - began) * 10)), signal);
  }
}

/** The orders that were created at `sinceMs` or later, by id. Reads only the newest pages. */
export async function ordersSince(books: Books, sinceMs: number): Promise<Map<string, OrderEntry>> {
  const found = new Map<string, OrderEntry>();
  for await (const order of listOrders(books)) {
    // Concurrent creations are not listed in the exact order of their times.
    if (order.createdAtMs < sinceMs - 10_000) break;
    found.set(order.id, order);
  }
  return found;
}
