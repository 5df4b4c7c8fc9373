import {
  OrderCanceledSchema,
  OrderConfirmedSchema,
  OrderCreatedSchema,
} from '@tradewind/contracts/order/v1/events';
import { StockExceededAmountSchema, StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import { topicOf } from '@tradewind/messaging/contract';

/** An event of the saga: who tells it, and who has to hear it. */
export interface Leg {
  readonly topic: string;
  readonly toldBy: Party;
  /** Undefined when the saga waits for nobody. */
  readonly heardBy: Party | undefined;
}

export type Party = 'order' | 'stock';

const leg = (schema: Parameters<typeof topicOf>[0], toldBy: Party, heardBy?: Party): Leg => ({
  topic: topicOf(schema).name,
  toldBy,
  heardBy,
});

export const created = leg(OrderCreatedSchema, 'order', 'stock');
export const reserved = leg(StockReservedSchema, 'stock', 'order');
export const exceeded = leg(StockExceededAmountSchema, 'stock', 'order');
export const confirmed = leg(OrderConfirmedSchema, 'order');
export const canceled = leg(OrderCanceledSchema, 'order', 'stock');

/** In the order in which they follow each other. */
export const legs: readonly Leg[] = [created, reserved, exceeded, confirmed, canceled];
