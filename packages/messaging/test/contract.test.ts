import { globSync, readFileSync } from 'node:fs';
import {
  OrderCanceledSchema,
  OrderConfirmedSchema,
  OrderCreatedSchema,
  OrderedLineSchema,
} from '@tradewind/contracts/order/v1/events';
import {
  ProductCreatedSchema,
  ProductDeletedSchema,
  ProductUpdatedSchema,
} from '@tradewind/contracts/product/v1/events';
import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { StockExceededAmountSchema, StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import { topicOf, topicSpecs } from '@tradewind/messaging/contract';
import { contextOf, decodeEvent, factOf } from '@tradewind/messaging/event';
import type { ReceivedRecord } from '@tradewind/messaging/log';
import { expect, test } from 'vitest';

const record = (value: string | Uint8Array, headers: Record<string, string> = {}): ReceivedRecord => ({
  topic: 't',
  key: 'k',
  value: Buffer.from(value),
  headers,
  partition: 0,
  offset: 0n,
  appendedAt: new Date(0),
});

test('name, key and retention of a topic come from the contract', () => {
  expect(topicOf(OrderCreatedSchema)).toEqual({
    name: 'order.created',
    keyField: 'orderId',
    retentionMs: 7 * 24 * 3600_000,
    lowerCamelCase: false,
  });
  expect(topicOf(ProductCreatedSchema)).toEqual({
    name: 'product.created',
    keyField: 'productId',
    retentionMs: null,
    lowerCamelCase: false,
  });
  expect(() => topicOf(OrderedLineSchema)).toThrow('tradewind.order.v1.OrderedLine names no topic');
});

test('a topic may be written with lowerCamelCase names; both are read', () => {
  const { payload, key } = factOf(RatedSchema, {
    subject: 'flight-of-the-gopher',
    about: { case: 'talkId', value: 'flight-of-the-gopher' },
    value: 5,
  });
  expect(key).toBe('flight-of-the-gopher');
  expect(JSON.parse(Buffer.from(payload).toString())).toMatchObject({
    talkId: 'flight-of-the-gopher',
    value: 5,
  });
  for (const text of ['{"talkId":"t","value":5}', '{"talk_id":"t","value":5}'])
    expect(decodeEvent(RatedSchema, record(text))).toMatchObject({ about: { value: 't' }, subject: '' });
  for (const wrong of [
    '{"value":5}',
    '{"talkId":"t","value":6}',
    '{"talkId":"t","value":3.5}',
    '{"talkId":"a/b","value":3}',
    '{"talkId":"t","productId":1,"value":5}',
    '{"talkId":"t","subject":"other","value":5}',
    '{"productId":1,"subject":"product/2","value":5}',
  ])
    expect(() => decodeEvent(RatedSchema, record(wrong)), wrong).toThrow();
  expect(decodeEvent(RatedSchema, record('{"productId":1,"subject":"product/1","value":5}')).value).toBe(5);
});

test('a service gets its topics, the dead-letter topics of what it hears, and its redrive topic', () => {
  const names = topicSpecs('order', [OrderCreatedSchema], [StockReservedSchema]).map(({ name }) => name);
  expect(names).toEqual([
    'order.created',
    'stock.reserved',
    'stock.reserved.dlq',
    'order.redrive',
    'order.redrive.dlq',
  ]);
});

test('a topic that a service tells and hears is one', () => {
  const names = topicSpecs('ratings', [RatedSchema], [RatedSchema]).map(({ name }) => name);
  expect(names).toEqual(['ratings', 'ratings.dlq', 'ratings.redrive', 'ratings.redrive.dlq']);
});

test('every event’s example in its contract is accepted, and written again as it stands', () => {
  const schemas = [
    OrderCreatedSchema,
    OrderCanceledSchema,
    StockReservedSchema,
    StockExceededAmountSchema,
    OrderConfirmedSchema,
    ProductCreatedSchema,
    ProductUpdatedSchema,
    ProductDeletedSchema,
    RatedSchema,
  ];
  const protos = globSync('proto/tradewind/*/v1/events.proto')
    .map((path) => readFileSync(path, 'utf8'))
    .join('\n');
  for (const schema of schemas) {
    const [, example] =
      new RegExp(`// Example:\\n// (\\{.*\\})\\nmessage ${schema.name} `).exec(protos) ?? [];
    if (!example) throw new Error(`${schema.name} has no example`);
    const message = decodeEvent(schema, record(example));
    const fact = factOf(schema, message as never, undefined);
    expect(String(Buffer.from(fact.payload))).toBe(example);
  }
});

test.each([
  ['{"talkId":"t","value":5,"comment":"secret"', 'in JSON at position'],
  ['{"talkId":"t","value":5,"comment":secret}', 'Unexpected token'],
  ['secret', 'Unexpected token'],
  ['{"talkId":"t","value":"secret"}', 'Rated.value from JSON: expected number (int32), got "…"'],
  ['{"talkId":"t","value":"secret\\\\"}', 'expected number (int32), got "…"'],
  ['{"talkId":"t","value":5,"comment":["secret"]}', 'Rated.comment from JSON: expected string, got Array(1)'],
  ['{"talkId":"t","value":5,"ratedAt":"secret"}', 'invalid RFC 3339'],
  ['{"talkId":"t","value":5,"secret":1,"secret":2}', 'duplicate object key "…"'],
  ['{"talkId":"t","value":5,"customerId":"secret"}', 'customer_id: must be a valid UUID'],
  [`{"talkId":"t","value":5,"comment":"${'secret'.repeat(50)}"}`, 'comment: must be at most 100 characters'],
  ['"secret"', 'from JSON: "…"'],
])('what is wrong with %s is said without quoting it', (text, said) => {
  const decode = () => decodeEvent(RatedSchema, record(text));
  expect(decode).toThrow(said);
  expect(decode).not.toThrow('secret');
});

test('a fact that breaks its contract is never written', () => {
  expect(() => factOf(OrderCanceledSchema, { orderId: 'nonsense' }, undefined)).toThrow(
    'tradewind.order.v1.OrderCanceled breaks its contract',
  );
  const reason = (text: string) => () =>
    factOf(OrderCanceledSchema, { orderId: '01890a5d-ac96-774b-bcce-b302099a8057', reason: text }, undefined);
  expect(reason('half a \ud800 pair')).toThrow('text that is not Unicode');
  expect(reason('text \\ud800 that only looks so')).not.toThrow();
  expect(reason('a whole 😀')).not.toThrow();
});

test('an event without an id of its own gets one from its place and content', () => {
  const plain = contextOf(record('{}'), 'log-1');
  expect(plain.id).toMatch(/^log-1\/t\/0\/0\/[\w-]{16}$/);
  expect(contextOf(record('{}'), 'log-1').id).toBe(plain.id);
  expect(contextOf(record('{ }'), 'log-1').id).not.toBe(plain.id);
  expect(contextOf(record('{}'), 'log-2').id).not.toBe(plain.id);
  expect(contextOf(record('{}', { ce_id: 'a', ce_source: 'b' }), 'log-1')).toMatchObject({
    id: 'a',
    source: 'b',
  });
});
