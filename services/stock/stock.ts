import { defineEntity, p } from '@mikro-orm/core';

/** Pieces of one product at most, so that every sum of them stays a safe integer. */
export const MOST = 1_000_000_000_000_000;

export const StockEntity = defineEntity({
  name: 'Stock',
  tableName: 'stock',
  properties: {
    productId: p.integer().primary(),
    quantity: p.bigint('number'),
    /** Sum of the movements that no order caused. */
    putIn: p.bigint('number'),
    deleted: p.boolean(),
    /** Revision of the newest product event heard; null before the first. */
    productRevision: p.bigint().nullable(),
    updatedAt: p.datetime(),
    revision: p.bigint('number'),
  },
});

/** What is left of one product. Whoever changes it writes the movement, too: see ledger.ts. */
export class Stock extends StockEntity.class {
  /** Pieces that an order can have. */
  get available(): number {
    return this.deleted ? 0 : this.quantity;
  }

  /** An order takes pieces; there must be as many. */
  take(pieces: number): void {
    if (pieces > this.available)
      throw new RangeError(`product ${this.productId}: ${pieces} asked, ${this.available} left`);
    this.quantity -= pieces;
    this.revision += 1;
  }

  /** What an order took comes back, also when the product was deleted meanwhile. */
  giveBack(pieces: number): void {
    this.quantity += pieces;
    this.revision += 1;
  }

  /** Somebody puts pieces in, or takes them out. Answers whether that is possible; if not, nothing changes. */
  adjust(delta: number): boolean {
    const quantity = this.quantity + delta;
    if (quantity < 0 || quantity > MOST) return false;
    this.quantity = quantity;
    this.putIn += delta;
    this.revision += 1;
    return true;
  }

  /** What the product service told last counts, in whatever order it arrives. Answers whether this was news. */
  hear(productRevision: bigint, deleted: boolean): boolean {
    if (this.productRevision != null && productRevision <= this.productRevision) return false;
    this.productRevision = productRevision;
    if (this.deleted !== deleted) this.revision += 1;
    this.deleted = deleted;
    return true;
  }
}
StockEntity.setClass(Stock);

/** A product that stock hears of for the first time. */
export function newStock(productId: number): Stock {
  return Object.assign(new Stock(), {
    productId,
    quantity: 0,
    putIn: 0,
    deleted: false,
    productRevision: null,
    updatedAt: new Date(0),
    revision: 1,
  });
}
