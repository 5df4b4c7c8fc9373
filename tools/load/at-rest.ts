import { createHash } from 'node:crypto';
import { OrderStatus } from '@tradewind/contracts/order/v1/order';
import { delay } from '@tradewind/process/backoff';
import { type Books, listOrders, listStock, type OrderEntry, type StockEntry } from './books.ts';
import { judgeStock, type OffBalance } from './judge.ts';
import { untilSettled } from './settle.ts';

export interface RestOptions {
  readonly signal?: AbortSignal | undefined;
  readonly stallMs: number;
  readonly graceMs: number;
  readonly restMs: number;
  readonly onProgress?: ((text: string, pending?: number) => void) | undefined;
}

/** All orders and all stock, as one reading after another found them. */
export interface Reading {
  readonly orders: readonly OrderEntry[];
  readonly stock: readonly StockEntry[];
  /** Ids that came twice. */
  readonly listedTwice: readonly string[];
  /** Equal for equal books. */
  readonly digest: string;
}

export interface RestReading extends Reading {
  readonly stuck: readonly string[];
  readonly off: readonly OffBalance[];
  readonly atRest: boolean;
}

/**
 * Reads until two readings agree, no order is PENDING but those that are stuck, and what does not balance has stayed so for a while:
 * the goods of a cancelled order may be on their way back.
 */
export async function readAtRest(books: Books, options: RestOptions): Promise<RestReading> {
  const { signal, stallMs, graceMs, restMs, onProgress } = options;
  const onPending = (pending: number) => onProgress?.('waiting until no order is pending', pending);
  const stalled = new Set<string>();
  const began = performance.now();
  let before: Reading | undefined;
  let sameSince = began;
  for (;;) {
    const more = await untilSettled(books, (id) => !stalled.has(id), { stallMs, signal, onPending });
    for (const id of more) stalled.add(id);
    onProgress?.('reading all orders and stock');
    const reading = await read(books);
    const now = performance.now();
    if (reading.digest !== before?.digest) sameSince = now;
    const stuck = reading.orders.filter(({ status }) => status === OrderStatus.PENDING).map(({ id }) => id);
    const off = judgeStock(reading.stock, reading.orders);
    const sound = stuck.every((id) => stalled.has(id)) && (off.length === 0 || now - sameSince > graceMs);
    const atRest = reading.digest === before?.digest && sound;
    if (atRest || now - began > stallMs + restMs) return { ...reading, stuck, off, atRest };
    if (before) await delay(200, signal);
    before = reading;
  }
}

async function read(books: Books): Promise<Reading> {
  const orders = new Map<string, OrderEntry>();
  const listedTwice: string[] = [];
  const hash = createHash('sha256');
  for await (const order of listOrders(books)) {
    if (orders.has(order.id)) listedTwice.push(order.id);
    orders.set(order.id, order);
    hash.update(`${order.id}:${order.revision}:${order.status};`);
  }
  const stock = await Array.fromAsync(listStock(books));
  for (const { productId, quantity, putIn } of stock) hash.update(`${productId}:${quantity}:${putIn};`);
  return { orders: [...orders.values()], stock, listedTwice, digest: hash.digest('hex') };
}
