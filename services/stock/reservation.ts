/** Pieces of one product, over all lines of an order. */
export interface Taken {
  readonly productId: number;
  readonly quantity: number;
}

/** One product that an order asked too much of. */
export interface Shortage {
  readonly productId: number;
  readonly requested: number;
  readonly available: number;
  readonly unknownProduct: boolean;
}

export type Outcome = 'reserved' | 'exceeded' | 'released' | 'canceled-before-created';

/** What came of one order. The first answer stands, however often the order is told again. */
export class Reservation {
  readonly orderId: string;
  outcome: Outcome;
  /** What it took; in product order, each product once. */
  readonly lines: readonly Taken[];
  /** What was short, the first hundred products of them. */
  readonly shortages: readonly Shortage[];
  revision: number;

  constructor({ orderId, outcome, lines = [], shortages = [], revision = 1 }: ReservationRow) {
    this.orderId = orderId;
    this.outcome = outcome;
    this.lines = lines;
    this.shortages = shortages;
    this.revision = revision;
  }

  /** The order was canceled: answers what is to go back, which is nothing the second time. */
  release(): readonly Taken[] {
    if (this.outcome !== 'reserved') return [];
    this.outcome = 'released';
    this.revision += 1;
    return this.lines;
  }
}

export interface ReservationRow {
  readonly orderId: string;
  readonly outcome: Outcome;
  readonly lines?: readonly Taken[];
  readonly shortages?: readonly Shortage[];
  readonly revision?: number;
}

/** Adds up the lines of each product, in product order. */
export function addUp(lines: readonly Taken[]): Taken[] {
  const pieces = new Map<number, number>();
  for (const { productId, quantity } of lines) pieces.set(productId, (pieces.get(productId) ?? 0) + quantity);
  return [...pieces]
    .map(([productId, quantity]) => ({ productId, quantity }))
    .sort((a, b) => a.productId - b.productId);
}
