import { defineEntity, p } from '@mikro-orm/core';
import type { NewOrderLine } from '@tradewind/contracts/order/v1/order';
import { problem } from '@tradewind/rpc/failure';

export type Status = 'PENDING' | 'CONFIRMED' | 'CANCELED';

/** One line of an order. Prices are whole numbers of the currency's minor unit. */
export interface Line {
  readonly productId: number;
  readonly quantity: number;
  /** Null when the caller gave a total that does not divide. */
  readonly unitPrice: number | null;
  readonly totalPrice: number;
}

export const OrderEntity = defineEntity({
  name: 'Order',
  tableName: 'orders',
  properties: {
    id: p.uuid().primary(),
    customerId: p.text(),
    status: p.text().$type<Status>(),
    /** Why it was canceled; empty while it stands. */
    reason: p.text(),
    lines: p.json<readonly Line[]>(),
    totalPrice: p.bigint('number'),
    currency: p.text(),
    createdAt: p.datetime(),
    updatedAt: p.datetime(),
    revision: p.bigint('number'),
  },
});

/** An order and what may happen to it: PENDING → CONFIRMED or CANCELED, CONFIRMED → CANCELED by the customer. */
export class Order extends OrderEntity.class {
  /** Stock has taken the goods. Answers whether that changed anything. */
  confirm(): boolean {
    return this.status === 'PENDING' && become(this, 'CONFIRMED', '');
  }

  /** The saga could not fill it. Answers whether that changed anything: the customer may have been first. */
  reject(reason: string): boolean {
    return this.status === 'PENDING' && become(this, 'CANCELED', reason);
  }

  /** The customer does not want it any more. Answers whether that changed anything. */
  cancel(): boolean {
    return this.status !== 'CANCELED' && become(this, 'CANCELED', 'canceled by the customer');
  }
}
OrderEntity.setClass(Order);

function become(order: Order, status: Status, reason: string): true {
  order.status = status;
  order.reason = reason;
  order.revision += 1;
  return true;
}

/**
 * Works out every line's prices and the order's total, all of them safe integers.
 * @param total what the caller says that the lines add up to, if anything
 * @throws ConnectError INVALID_ARGUMENT naming the field that does not fit
 */
export function price(
  lines: readonly NewOrderLine[],
  total: bigint | undefined,
): { lines: Line[]; totalPrice: number } {
  let sum = 0;
  const priced = lines.map((line, n) => {
    const { productId, quantity } = line;
    const { unitPrice, totalPrice } = linePrices(line, `lines[${n}]`);
    sum += totalPrice;
    if (!Number.isSafeInteger(sum))
      throw problem('lines', `must not add up to more than ${Number.MAX_SAFE_INTEGER}`);
    return { productId, quantity, unitPrice, totalPrice };
  });
  if (total !== undefined && Number(total) !== sum)
    throw problem('total_price', `must be what the lines add up to: ${sum}`);
  return { lines: priced, totalPrice: sum };
}

function linePrices(line: NewOrderLine, field: string): Pick<Line, 'unitPrice' | 'totalPrice'> {
  const { quantity } = line;
  const total = line.totalPrice === undefined ? undefined : Number(line.totalPrice);
  if (line.unitPrice === undefined) {
    if (total === undefined) throw problem(field, 'unit_price or total_price must be given');
    const unit = total / quantity;
    return { unitPrice: total % quantity === 0 ? unit : null, totalPrice: total };
  }
  const unitPrice = Number(line.unitPrice);
  const totalPrice = unitPrice * quantity;
  if (!Number.isSafeInteger(totalPrice))
    throw problem(`${field}.unit_price`, `times quantity must not exceed ${Number.MAX_SAFE_INTEGER}`);
  if (total !== undefined && total !== totalPrice) {
    throw problem(`${field}.total_price`, `must be unit_price times quantity: ${totalPrice}`);
  }
  return { unitPrice, totalPrice };
}
