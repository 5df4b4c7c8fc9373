import type { EntityManager } from '@tradewind/database/database';
import type { WorkingSet } from '@tradewind/messaging/subscription';
import * as rows from './ledger-rows.ts';
import { Reservation, type Shortage, type Taken } from './reservation.ts';
import { newStock, type Stock } from './stock.ts';
import { Tracked } from './tracked.ts';

/** Why a quantity changed. */
export type Cause = 'order' | 'cancellation' | 'adjustment';

export interface Movement extends Taken {
  readonly causeId: string;
  readonly cause: Cause;
}

/** Reservations and stock, locked: every change of a quantity goes through here and is written down as a movement. */
export class Ledger implements WorkingSet {
  readonly #reservations: Tracked<string, Reservation>;
  readonly #stocks: Tracked<number, Stock>;
  readonly #movements: Movement[] = [];

  constructor(reservations: readonly Reservation[], stocks: readonly Stock[]) {
    this.#reservations = new Tracked(reservations, ({ orderId }) => orderId);
    this.#stocks = new Tracked(stocks, ({ productId }) => productId);
  }

  /** The product's stock, or undefined when stock never heard of it. */
  stock(productId: number): Stock | undefined {
    return this.#stocks.get(productId);
  }

  /** What came of an order, or undefined when it is new here. */
  reservation(orderId: string): Reservation | undefined {
    return this.#reservations.get(orderId);
  }

  /** Takes the goods of a new order, all or none. */
  reserve(orderId: string, wanted: readonly Taken[]): Reservation {
    const shortages = wanted.flatMap((line) => this.#shortage(line));
    if (shortages.length > 0) {
      return this.#reservations.add(new Reservation({ orderId, outcome: 'exceeded', shortages }));
    }
    for (const { productId, quantity } of wanted) {
      this.#move(this.#known(productId), {
        causeId: orderId,
        cause: 'order',
        productId,
        quantity: -quantity,
      });
    }
    return this.#reservations.add(new Reservation({ orderId, outcome: 'reserved', lines: wanted }));
  }

  /** Gives back what an order took, once. An order that is not here yet will find that it was canceled. */
  release(orderId: string): void {
    const reservation = this.#reservations.get(orderId);
    if (!reservation) {
      this.#reservations.add(new Reservation({ orderId, outcome: 'canceled-before-created' }));
      return;
    }
    for (const { productId, quantity } of reservation.release()) {
      this.#move(this.#known(productId), { causeId: orderId, cause: 'cancellation', productId, quantity });
      this.#reservations.touch(reservation);
    }
  }

  /** Puts pieces in, or takes them out when negative. Answers whether that is possible. */
  adjust(stock: Stock, causeId: string, delta: number): boolean {
    if (delta === 0) return true;
    if (!stock.adjust(delta)) return false;
    this.#stocks.touch(stock);
    this.#movements.push({ causeId, cause: 'adjustment', productId: stock.productId, quantity: delta });
    return true;
  }

  /** What the product service tells of a product. */
  hear(productId: number, revision: bigint, deleted: boolean): void {
    const stock = this.#stocks.get(productId) ?? this.addStock(productId);
    if (stock.hear(revision, deleted)) this.#stocks.touch(stock);
  }

  /** A product that stock did not know: nothing of it is there. */
  addStock(productId: number): Stock {
    return this.#stocks.add(newStock(productId));
  }

  async save(em: EntityManager): Promise<void> {
    await rows.insertReservations(em, this.#reservations.added);
    await rows.updateReservations(em, this.#reservations.changed);
    await rows.insertStocks(em, this.#stocks.added);
    await rows.updateStocks(em, this.#stocks.changed);
    await rows.insertMovements(em, this.#movements);
  }

  #shortage({ productId, quantity }: Taken): Shortage[] {
    const stock = this.#stocks.get(productId);
    const available = stock?.available ?? 0;
    if (stock && !stock.deleted && available >= quantity) return [];
    return [{ productId, requested: quantity, available, unknownProduct: !stock || stock.deleted }];
  }

  #known(productId: number): Stock {
    const stock = this.#stocks.get(productId);
    if (!stock) throw new Error(`the stock of product ${productId} was not loaded`);
    return stock;
  }

  #move(stock: Stock, movement: Movement): void {
    if (movement.quantity < 0) stock.take(-movement.quantity);
    else stock.giveBack(movement.quantity);
    this.#stocks.touch(stock);
    this.#movements.push(movement);
  }
}

/** Locks reservations and stock: two queries at most, both in id order. */
export async function lockLedger(
  em: EntityManager,
  orderIds: readonly string[],
  /** The products that are needed, once it is known what the orders took. */
  productsOf: (reservations: readonly Reservation[]) => Iterable<number>,
): Promise<Ledger> {
  const reservations = await rows.lockReservations(em, orderIds);
  return new Ledger(reservations, await rows.lockStocks(em, [...new Set(productsOf(reservations))]));
}
