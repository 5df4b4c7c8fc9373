import type { DescMessage } from '@bufbuild/protobuf';
import { OrderCanceledSchema, OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import {
  ProductCreatedSchema,
  ProductDeletedSchema,
  ProductUpdatedSchema,
} from '@tradewind/contracts/product/v1/events';
import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { StockExceededAmountSchema, StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import { redriveTopic, topicOf } from '@tradewind/messaging/contract';
import { deadLetterTopicsOf } from '@tradewind/messaging/dead-letters';

/** A consumer group: a service that hears topics. */
export interface Group {
  readonly name: string;
  readonly hears: readonly DescMessage[];
}

/** As the services' own tables of contents have it (a test compares), which take a second to load. */
export const groups: readonly Group[] = [
  { name: 'order', hears: [StockReservedSchema, StockExceededAmountSchema] },
  { name: 'product', hears: [RatedSchema] },
  {
    name: 'stock',
    hears: [
      OrderCreatedSchema,
      OrderCanceledSchema,
      ProductCreatedSchema,
      ProductUpdatedSchema,
      ProductDeletedSchema,
    ],
  },
  {
    name: 'ratings',
    hears: [RatedSchema, ProductCreatedSchema, ProductUpdatedSchema, ProductDeletedSchema],
  },
];

/** The topics that a group hears. */
export function topicsOf({ hears }: Group): string[] {
  return hears.map((schema) => topicOf(schema).name);
}

/** The topics that a group reads: those that it hears, and its dead letters that come back. */
export function readBy(group: Group): string[] {
  return [...topicsOf(group), redriveTopic(group.name)];
}

/** Every dead-letter topic that there is. */
export function allDeadLetterTopics(): string[] {
  return [...new Set(groups.flatMap((group) => deadLetterTopicsOf(group.name, topicsOf(group))))];
}

/** The contract of a topic; undefined where no contract names it. */
export function contractOf(topic: string): DescMessage | undefined {
  return groups.flatMap(({ hears }) => hears).find((schema) => topicOf(schema).name === topic);
}
