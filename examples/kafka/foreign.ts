import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DescMessage } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { OrderCanceledSchema, OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import { StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import { StockService } from '@tradewind/contracts/stock/v1/stock';
import { topicOf } from '@tradewind/messaging/contract';
import type { EventLog, ReceivedRecord } from '@tradewind/messaging/log';

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const ANSWERED_WITHIN_MS = 60_000;
const PRODUCT_ID = 1;

/** What another tool would put: JSON that fits, no header at all. */
const orderOf = (orderId: string) => ({
  order_id: orderId,
  lines: [{ product_id: PRODUCT_ID, quantity: 3, total_price: 300 }],
  total_price: 300,
});

/**
 * Puts a bare order on the topic and waits for what becomes of it: stock reserves, order, which never heard of it, cancels, and the
 * goods are there again.
 * @returns what was seen, for people
 */
export async function placeBareOrder(log: EventLog, stockUrl: string): Promise<string> {
  const stock = createClient(StockService, createConnectTransport({ baseUrl: stockUrl, httpVersion: '1.1' }));
  const left = async () => (await stock.getStock({ productId: PRODUCT_ID })).stock?.quantity;
  await atRest(log);
  const before = await left();
  const orderId = randomUUID();
  const since = Date.now();
  const reserved = await reader(log, StockReservedSchema);
  const canceled = await reader(log, OrderCanceledSchema);
  await put(log, OrderCreatedSchema, orderId, JSON.stringify(orderOf(orderId)));
  await reserved(({ key }) => key === orderId);
  const { value } = await canceled(({ key }) => key === orderId);
  const { reason } = JSON.parse(decoder.decode(value ?? new Uint8Array())) as { reason?: string };
  if (reason !== 'unknown order') throw new Error(`order ${orderId} was cancelled for "${reason}"`);
  while ((await left()) !== before) {
    if (Date.now() - since > ANSWERED_WITHIN_MS)
      throw new Error(`${await left()} pieces are left, not ${before}`);
    await sleep(20);
  }
  return `a bare order was reserved, then cancelled as "${reason}", and its goods are back, in ${Date.now() - since} ms`;
}

/** Waits until stock has given back what earlier examples took. */
async function atRest(log: EventLog): Promise<void> {
  const topics = [OrderCreatedSchema, OrderCanceledSchema].map((schema) => topicOf(schema).name);
  for (const deadline = Date.now() + ANSWERED_WITHIN_MS; ; await sleep(20)) {
    if ((await log.lag('stock', topics)).every(({ lag }) => lag === 0n)) return;
    if (Date.now() > deadline) throw new Error(`stock does not come to rest on ${topics.join(' and ')}`);
  }
}

/**
 * Puts garbage on the topic, and a good order right behind it under the same key.
 * @returns what was seen, for people
 */
export async function placeGarbage(log: EventLog): Promise<string> {
  const orderId = randomUUID();
  const dead = await reader(log, OrderCreatedSchema, '.dlq');
  const reserved = await reader(log, StockReservedSchema);
  const since = Date.now();
  await put(log, OrderCreatedSchema, orderId, 'neither { JSON nor');
  await put(log, OrderCreatedSchema, orderId, JSON.stringify(orderOf(orderId)));
  const letter = await dead(({ key }) => key === orderId);
  const deadMs = Date.now() - since;
  await reserved(({ key }) => key === orderId);
  const { dlq_reason: reason, dlq_error: error } = letter.headers;
  if (reason !== 'undecodable') throw new Error(`garbage became a dead letter for "${reason}": ${error}`);
  return `garbage is in ${letter.topic} after ${deadMs} ms (${reason}), the order behind it was handled after ${Date.now() - since} ms`;
}

/**
 * Rates a talk with no more than its id and a value, and waits until that is counted.
 * @returns what was seen, for people
 */
export async function rateBarely(log: EventLog, ratingsUrl: string): Promise<string> {
  const transport = createConnectTransport({ baseUrl: ratingsUrl, httpVersion: '1.1' });
  const ratings = createClient(RatingsService, transport);
  const talkId = 'flight-of-the-gopher';
  const subject = { about: { case: 'talkId' as const, value: talkId } };
  const count = async () => (await ratings.getSummary({ subject })).summary?.count ?? 0n;
  const before = await count();
  const since = Date.now();
  await put(log, RatedSchema, talkId, JSON.stringify({ talkId, value: 5 }));
  while ((await count()) === before) {
    if (Date.now() - since > ANSWERED_WITHIN_MS) throw new Error('a bare rating is not counted');
    await sleep(20);
  }
  return `a bare rating was counted after ${Date.now() - since} ms`;
}

async function put(log: EventLog, schema: DescMessage, key: string, text: string): Promise<void> {
  await using producer = await log.producer();
  await producer.append([{ topic: topicOf(schema).name, key, value: encoder.encode(text), headers: {} }]);
}

type Await = (wanted: (record: ReceivedRecord) => boolean) => Promise<ReceivedRecord>;

/** Reads an event's topic from its present end on. */
async function reader(log: EventLog, schema: DescMessage, suffix = ''): Promise<Await> {
  const topic = `${topicOf(schema).name}${suffix}`;
  const places = (await log.bounds(topic)).map(({ partition, end }) => ({ topic, partition, offset: end }));
  return async (wanted) => {
    for (const deadline = Date.now() + ANSWERED_WITHIN_MS; Date.now() < deadline; await sleep(10)) {
      for (const place of places) {
        for (const record of await log.read(place, 1_000)) {
          place.offset = record.offset + 1n;
          if (wanted(record)) return record;
        }
      }
    }
    throw new Error(`what was awaited on ${topic} did not come`);
  };
}
