import type { EntityManager } from '@tradewind/database/database';
import { run, statement } from '@tradewind/database/statement';
import type { Movement } from './ledger.ts';
import { type Outcome, Reservation, type Shortage, type Taken } from './reservation.ts';
import { Stock } from './stock.ts';

interface StockRow {
  readonly product_id: number;
  readonly quantity: string;
  readonly put_in: string;
  readonly deleted: boolean;
  readonly product_revision: string | null;
  readonly updated_at: Date;
  readonly revision: string;
}

const lockReservationRows = statement<{
  order_id: string;
  outcome: Outcome;
  lines: Taken[];
  shortages: Shortage[];
  revision: string;
}>(`
  SELECT order_id, outcome, lines, shortages, revision
  FROM reservation WHERE order_id = ANY($1::uuid[]) ORDER BY order_id FOR UPDATE`);

const lockStockRows = statement<StockRow>(`
  SELECT product_id, quantity, put_in, deleted, product_revision, updated_at, revision
  FROM stock WHERE product_id = ANY($1::int[]) ORDER BY product_id FOR UPDATE`);

// A row that somebody else added meanwhile is left alone and missing in the answer.
const insertReservationRows = statement<{ order_id: string }>(`
  INSERT INTO reservation (order_id, outcome, lines, shortages, revision)
  SELECT * FROM unnest($1::uuid[], $2::text[], $3::jsonb[], $4::jsonb[], $5::bigint[])
  ORDER BY 1 ON CONFLICT DO NOTHING RETURNING order_id`);

// "= ANY" besides the join keeps a plan that was made while the table was empty from reading all of it later.
const updateReservationRows = statement(`
  UPDATE reservation SET outcome = changed.outcome, revision = changed.revision, updated_at = now()
  FROM unnest($1::uuid[], $2::text[], $3::bigint[]) AS changed (order_id, outcome, revision)
  WHERE reservation.order_id = ANY($1::uuid[]) AND reservation.order_id = changed.order_id`);

const insertStockRows = statement<StockTime>(`
  INSERT INTO stock (product_id, quantity, put_in, deleted, product_revision, revision)
  SELECT * FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::boolean[], $5::bigint[], $6::bigint[])
  ORDER BY 1 ON CONFLICT DO NOTHING RETURNING product_id, updated_at`);

const updateStockRows = statement<StockTime>(`
  UPDATE stock SET quantity = changed.quantity, put_in = changed.put_in, deleted = changed.deleted,
    product_revision = changed.product_revision, revision = changed.revision, updated_at = greatest(stock.updated_at, now())
  FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::boolean[], $5::bigint[], $6::bigint[])
    AS changed (product_id, quantity, put_in, deleted, product_revision, revision)
  WHERE stock.product_id = ANY($1::int[]) AND stock.product_id = changed.product_id
  RETURNING stock.product_id, stock.updated_at`);

const insertMovementRows = statement(`
  INSERT INTO movement (cause_id, cause, product_id, delta)
  SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[], $4::bigint[])`);

interface StockTime {
  readonly product_id: number;
  readonly updated_at: Date;
}

/** Locks what is there, in id order. */
export async function lockReservations(
  em: EntityManager,
  orderIds: readonly string[],
): Promise<Reservation[]> {
  if (orderIds.length === 0) return [];
  const rows = await run(em, lockReservationRows, [orderIds]);
  return rows.map(
    ({ order_id, revision, ...row }) =>
      new Reservation({ ...row, orderId: order_id, revision: Number(revision) }),
  );
}

/** Locks what is there, in id order. */
export async function lockStocks(em: EntityManager, productIds: readonly number[]): Promise<Stock[]> {
  if (productIds.length === 0) return [];
  const rows = await run(em, lockStockRows, [productIds]);
  return rows.map((row) =>
    Object.assign(new Stock(), {
      productId: row.product_id,
      quantity: Number(row.quantity),
      putIn: Number(row.put_in),
      deleted: row.deleted,
      productRevision: row.product_revision === null ? null : BigInt(row.product_revision),
      updatedAt: row.updated_at,
      revision: Number(row.revision),
    }),
  );
}

export async function insertReservations(em: EntityManager, added: readonly Reservation[]): Promise<void> {
  if (added.length === 0) return;
  const inserted = await run(em, insertReservationRows, [
    added.map(({ orderId }) => orderId),
    added.map(({ outcome }) => outcome),
    added.map(({ lines }) => JSON.stringify(lines)),
    added.map(({ shortages }) => JSON.stringify(shortages)),
    added.map(({ revision }) => revision),
  ]);
  if (inserted.length < added.length) throw conflict('an order was told and canceled at the same time');
}

export async function updateReservations(em: EntityManager, changed: readonly Reservation[]): Promise<void> {
  if (changed.length === 0) return;
  await run(em, updateReservationRows, [
    changed.map(({ orderId }) => orderId),
    changed.map(({ outcome }) => outcome),
    changed.map(({ revision }) => revision),
  ]);
}

export async function insertStocks(em: EntityManager, added: readonly Stock[]): Promise<void> {
  if (added.length === 0) return;
  const inserted = await run(em, insertStockRows, columns(added));
  if (inserted.length < added.length) throw conflict('a product became known to two at the same time');
  stamp(added, inserted);
}

export async function updateStocks(em: EntityManager, changed: readonly Stock[]): Promise<void> {
  if (changed.length === 0) return;
  stamp(changed, await run(em, updateStockRows, columns(changed)));
}

export async function insertMovements(em: EntityManager, movements: readonly Movement[]): Promise<void> {
  if (movements.length === 0) return;
  await run(em, insertMovementRows, [
    movements.map(({ causeId }) => causeId),
    movements.map(({ cause }) => cause),
    movements.map(({ productId }) => productId),
    movements.map(({ quantity }) => quantity),
  ]);
}

function columns(stocks: readonly Stock[]): unknown[] {
  return [
    stocks.map(({ productId }) => productId),
    stocks.map(({ quantity }) => quantity),
    stocks.map(({ putIn }) => putIn),
    stocks.map(({ deleted }) => deleted),
    stocks.map(({ productRevision }) => productRevision),
    stocks.map(({ revision }) => revision),
  ];
}

/** The time is the database's. */
function stamp(stocks: readonly Stock[], times: readonly StockTime[]): void {
  const written = new Map(times.map(({ product_id, updated_at }) => [product_id, updated_at]));
  for (const stock of stocks) stock.updatedAt = written.get(stock.productId) ?? stock.updatedAt;
}

/** Reads as a serialization failure: the same transaction, run again, sees the other's row. */
function conflict(message: string): Error {
  return Object.assign(new Error(message), { code: '40001' });
}
