import { setTimeout as sleep } from 'node:timers/promises';
import { OrderStatus } from '@tradewind/contracts/order/v1/order';
import type { Books } from '../load/books.ts';
import { tagOf } from '../load/plan.ts';
import type { Chance } from './chance.ts';

/** Of the newest orders that are seen at each look. */
const SHARE = 0.05;
const LOOK_MS = 50;
const NEWEST = 50;

/**
 * Customers who change their minds: cancels some of a run's newest orders, whatever becomes of them meanwhile, until the signal is aborted.
 * @returns the ids of the orders that were answered as cancelled
 */
export async function cancelSome(
  books: Books,
  run: string,
  dice: Chance,
  signal: AbortSignal,
): Promise<Set<string>> {
  const canceled = new Set<string>();
  while (!signal.aborted) {
    const { orders } = await books.ask((options) => books.orders.listOrders({ pageSize: NEWEST }, options));
    const chosen = orders.filter(
      ({ customerId, id }) => tagOf(customerId) === run && !canceled.has(id) && dice.next() < SHARE,
    );
    await Promise.all(
      chosen.map(async ({ id }) => {
        const { order } = await books.ask((options) => books.orders.cancelOrder({ id }, options));
        if (order?.status === OrderStatus.CANCELED) canceled.add(id);
      }),
    );
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
  return canceled;
}
