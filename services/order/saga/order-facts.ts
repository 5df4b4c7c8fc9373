import type { Look } from '@tradewind/messaging/trail';
import type { Status } from '../order.ts';

/** What the saga takes from the order's own row. Times are the database's, but for `updatedAt` of a customer's cancellation. */
export interface OrderFacts {
  readonly id: string;
  readonly status: Status;
  readonly reason: string;
  readonly revision: number;
  readonly startedAt: Date;
  readonly updatedAt: Date;
  readonly now: Date;
}

// Rows that are older than accepted_at have the time of its migration there.
const ROW = `
  SELECT id, status, reason, revision::int, least(created_at, accepted_at) AS "startedAt", updated_at AS "updatedAt",
    clock_timestamp() AS now FROM orders WHERE id = $1`;

/** The order as it stands; undefined when there is none. */
export async function orderFacts(look: Look, id: string): Promise<OrderFacts | undefined> {
  return (await look<OrderFacts>(ROW, [id]))[0];
}
