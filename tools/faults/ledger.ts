import type { Sight } from './database.ts';

export interface OrderRow {
  readonly id: string;
  readonly status: 'PENDING' | 'CONFIRMED' | 'CANCELED';
  readonly reason: string;
}

export interface ReservationRow {
  readonly order_id: string;
  readonly outcome: 'reserved' | 'exceeded' | 'released' | 'canceled-before-created';
}

/** What stock says of one product, and what its movements add up to. */
export interface ProductRow {
  readonly product_id: number;
  readonly quantity: string;
  readonly put_in: string;
  readonly moved: string;
  readonly adjusted: string;
}

/** The books of both services. */
export interface LedgerRows {
  readonly orders: readonly OrderRow[];
  readonly reservations: readonly ReservationRow[];
  readonly products: readonly ProductRow[];
}

export async function readLedger(databases: Readonly<Record<'order' | 'stock', Sight>>): Promise<LedgerRows> {
  const orders = await databases.order.query<OrderRow>('SELECT id, status, reason FROM orders');
  const reservations = await databases.stock.query<ReservationRow>(
    'SELECT order_id, outcome FROM reservation',
  );
  const products = await databases.stock.query<ProductRow>(`
    SELECT product_id, quantity, put_in, coalesce(sum(delta), 0) AS moved,
      coalesce(sum(delta) FILTER (WHERE cause = 'adjustment'), 0) AS adjusted
    FROM stock LEFT JOIN movement USING (product_id) GROUP BY product_id`);
  return { orders, reservations, products };
}

const BY_CUSTOMER = 'canceled by the customer';
const NAMED = 20;

/** What stock must have of an order, by what the order says of itself. */
function allowed({ status, reason }: OrderRow): readonly (ReservationRow['outcome'] | undefined)[] {
  if (status === 'CONFIRMED') return ['reserved'];
  if (status === 'CANCELED')
    return reason === BY_CUSTOMER ? ['released', 'exceeded', 'canceled-before-created'] : ['exceeded'];
  return [];
}

/**
 * Compares the books of both services, order by order and product by product.
 * @param canceled ids of orders that were answered as cancelled
 * @param putIn pieces whose coming in was answered, by product
 * @returns what is wrong, for people
 */
export function judgeLedger(
  { orders, reservations, products }: LedgerRows,
  canceled: ReadonlySet<string>,
  putIn: ReadonlyMap<number, number>,
): string[] {
  const outcomes = new Map(reservations.map(({ order_id, outcome }) => [order_id, outcome]));
  const known = new Map(orders.map((order) => [order.id, order]));
  const found: string[] = [];
  for (const order of orders) {
    const outcome = outcomes.get(order.id);
    if (!allowed(order).includes(outcome))
      found.push(
        `order ${order.id} is ${order.status} (${order.reason}), and stock has it as ${outcome ?? 'nothing'}`,
      );
  }
  for (const { order_id, outcome } of reservations)
    if (outcome === 'reserved' && !known.has(order_id))
      found.push(`stock holds goods for ${order_id}, which is no order`);
  for (const id of canceled)
    if (known.get(id)?.status !== 'CANCELED') found.push(`order ${id} was answered as cancelled, and is not`);
  for (const { product_id, quantity, put_in, moved, adjusted } of products) {
    if (quantity !== moved)
      found.push(`product ${product_id}: ${quantity} left, and its movements add up to ${moved}`);
    if (put_in !== adjusted)
      found.push(`product ${product_id}: ${put_in} put in, and its adjustments add up to ${adjusted}`);
    const wanted = putIn.get(product_id);
    if (wanted !== undefined && String(wanted) !== put_in)
      found.push(`product ${product_id}: ${put_in} put in, and ${wanted} were answered`);
  }
  return found.length > NAMED
    ? [...found.slice(0, NAMED), `and ${found.length - NAMED} more of the kind`]
    : found;
}
