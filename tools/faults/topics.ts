import type { DescMessage } from '@bufbuild/protobuf';
import {
  OrderCanceledSchema,
  OrderConfirmedSchema,
  OrderCreatedSchema,
} from '@tradewind/contracts/order/v1/events';
import {
  ProductCreatedSchema,
  ProductDeletedSchema,
  ProductUpdatedSchema,
} from '@tradewind/contracts/product/v1/events';
import { StockExceededAmountSchema, StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import { deadLetterTopic, redriveTopic, topicOf } from '@tradewind/messaging/contract';

/** What each group hears. */
const hears: Readonly<Record<string, readonly DescMessage[]>> = {
  order: [StockReservedSchema, StockExceededAmountSchema],
  stock: [
    OrderCreatedSchema,
    OrderCanceledSchema,
    ProductCreatedSchema,
    ProductUpdatedSchema,
    ProductDeletedSchema,
  ],
};

export const groups: readonly string[] = Object.keys(hears);

/** The topics of a group, its way back for dead letters among them. */
export function topicsOf(group: string): string[] {
  return [...(hears[group] ?? []).map((schema) => topicOf(schema).name), redriveTopic(group)];
}

export const confirmedTopic: string = topicOf(OrderConfirmedSchema).name;

/** Where what somebody gave up on lies. */
export const deadLetterTopics: readonly string[] = groups.flatMap(topicsOf).map(deadLetterTopic);
