import { topicSpecs } from '@tradewind/messaging/contract';
import { expect, test } from 'vitest';
import { service as order } from '../../services/order/service.ts';
import { service as product } from '../../services/product/service.ts';
import { service as ratings } from '../../services/ratings/service.ts';
import { service as stock } from '../../services/stock/service.ts';
import { allDeadLetterTopics, groups, readBy } from '../dlq/groups.ts';
import { services } from '../start/services.ts';

const definitions = [order, product, ratings, stock];

test('the groups are those services that hear something, each with what it hears', () => {
  expect(definitions.map(({ name }) => name).sort()).toEqual(services.map(({ name }) => name).sort());
  const listening = definitions.filter(({ subscriptions }) => subscriptions.length > 0);
  const hears = new Map(groups.map((group) => [group.name, group.hears.map(({ typeName }) => typeName)]));
  expect(hears).toEqual(
    new Map(
      listening.map(({ name, subscriptions }) => [name, subscriptions.map(({ schema }) => schema.typeName)]),
    ),
  );
  expect(hears.size).toBe(groups.length);
});

test('their topics are those that the services make', () => {
  const made = definitions.flatMap(({ name, tells, subscriptions }) =>
    topicSpecs(
      name,
      tells,
      subscriptions.map(({ schema }) => schema),
    ).map((topic) => topic.name),
  );
  expect(made).toEqual(expect.arrayContaining([...allDeadLetterTopics(), ...groups.flatMap(readBy)]));
  expect(new Set(made.filter((topic) => topic.endsWith('.dlq')))).toEqual(new Set(allDeadLetterTopics()));
});
