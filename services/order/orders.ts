import type { EntityManager } from '@tradewind/database/database';
import { run, statement } from '@tradewind/database/statement';
import type { WorkingSet } from '@tradewind/messaging/subscription';
import { Order, type Status } from './order.ts';
import type { End, Settled } from './sagas.ts';

/** As much of an order as its rules need; its lines stay in the database. */
export type Standing = Pick<Order, 'id' | 'status' | 'reason' | 'revision' | 'confirm' | 'reject'> & {
  /** Seconds since it was accepted. */
  readonly age: number;
};

const lock = statement<{ id: string; status: Status; reason: string; revision: string; age: number }>(`
  SELECT id, status, reason, revision, extract(epoch FROM now() - accepted_at)::float8 AS age
  FROM orders WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE`);

// "= ANY" besides the join keeps a plan that was made while the table was empty from reading all of it later.
const update = statement(`
  UPDATE orders SET status = changed.status, reason = changed.reason, revision = changed.revision, updated_at = greatest(updated_at, now())
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[]) AS changed (id, status, reason, revision)
  WHERE orders.id = ANY($1::uuid[]) AND orders.id = changed.id`);

/** The orders that a batch of events is about, locked. */
export class Orders implements WorkingSet {
  readonly #orders: ReadonlyMap<string, Standing>;
  readonly #revisions: ReadonlyMap<string, number>;
  /** Sagas that ended here, to be counted once that is committed. */
  readonly settled: Settled[] = [];

  constructor(orders: readonly Standing[]) {
    this.#orders = new Map(orders.map((order) => [order.id, order]));
    this.#revisions = new Map(orders.map(({ id, revision }) => [id, revision]));
  }

  /** @param id in any case */
  get(id: string): Standing | undefined {
    return this.#orders.get(id.toLowerCase());
  }

  /** Notes that a saga ended: of this order, or of one that is not there. */
  settle(end: End, order?: Standing): void {
    this.settled.push({ end, seconds: order?.age });
  }

  async save(em: EntityManager): Promise<void> {
    const changed = [...this.#orders.values()].filter(
      ({ id, revision }) => revision !== this.#revisions.get(id),
    );
    if (changed.length === 0) return;
    await run(em, update, [
      changed.map(({ id }) => id),
      changed.map(({ status }) => status),
      changed.map(({ reason }) => reason),
      changed.map(({ revision }) => revision),
    ]);
  }
}

/** Locks the orders of a whole batch in one query, in id order. */
export async function lockOrders(
  events: readonly { readonly orderId: string }[],
  em: EntityManager,
): Promise<Orders> {
  const rows = await run(em, lock, [[...new Set(events.map(({ orderId }) => orderId))]]);
  return new Orders(
    rows.map(({ revision, ...row }) => Object.assign(new Order(), row, { revision: Number(revision) })),
  );
}
