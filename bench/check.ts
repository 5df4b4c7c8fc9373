import { setTimeout as sleep } from 'node:timers/promises';
import { OrderCanceledSchema, OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { StockExceededAmountSchema, StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import { topicOf } from '@tradewind/messaging/contract';
import { openLog } from '@tradewind/messaging/open-log';
import { createLogger } from '@tradewind/telemetry/logger';
import { listStock } from '@tradewind/tools/load/books.ts';
import type { Client } from 'pg';
import type { Stage } from './stage.ts';
import { monotonic } from './worker.ts';

/** How often it looks whether all is settled, in milliseconds: the time of the last one is exact to this. */
const LOOK_MS = 4;

/** Resolves once no order is PENDING, with the moment: milliseconds of the monotonic clock. */
export async function untilSettled({ look }: Stage, signal: AbortSignal, stallMs = 60_000): Promise<number> {
  // The partial index on PENDING orders answers at once, unless the planner thinks that a look at the whole table finds one sooner.
  await look.order.query('SET enable_seqscan = off');
  for (let began = monotonic(); ; await sleep(LOOK_MS, undefined, { signal })) {
    if (!(await pending(look.order))) return monotonic();
    if (monotonic() - began > stallMs) throw new Error(`orders are still PENDING after ${stallMs} ms`);
  }
}

async function pending(order: Client): Promise<boolean> {
  const text = `SELECT EXISTS (SELECT FROM orders WHERE status = 'PENDING') AS pending`;
  const { rows } = await order.query<{ pending: boolean }>({ name: 'pending', text });
  return rows[0]?.pending ?? true;
}

const logger = createLogger({ service: 'bench', level: 'error', destination: 2 });

const HEARD = {
  stock: [OrderCreatedSchema, OrderCanceledSchema],
  order: [StockReservedSchema, StockExceededAmountSchema],
};

/** Resolves once nothing is under way any more: outboxes empty, groups at the end of their topics. */
export async function untilAtRest({ running, look }: Stage, signal: AbortSignal): Promise<void> {
  // Opened for the moment: whoever has the log open is woken by every append.
  await using log = await openLog({ url: running.addresses.eventLogUrl, logger });
  for (;;) {
    const waiting = await Promise.all(
      [look.order, look.stock, look.product].map((client) => count(client, 'SELECT count(*) FROM outbox')),
    );
    const lags = await Promise.all(
      Object.entries(HEARD).map(async ([group, schemas]) => {
        const all = await log.lag(
          group,
          schemas.map((schema) => topicOf(schema).name),
        );
        return all.reduce((sum, { lag }) => sum + Number(lag), 0);
      }),
    );
    if ([...waiting, ...lags].every((n) => n === 0)) return;
    await sleep(50, undefined, { signal });
  }
}

/**
 * Checks what the sagas have left behind, at rest.
 * @param placed orders that were accepted so far
 * @throws Error that names everything that is wrong: then no number counts
 */
export async function assertCorrect({ look, books }: Stage, placed: number): Promise<void> {
  const wrong: string[] = [];
  const { rows } = await look.order.query<{ status: string; n: string }>(
    'SELECT status, count(*) AS n FROM orders GROUP BY 1',
  );
  const found = rows.map(({ status, n }) => `${n} ${status}`).join(', ');
  // There is plenty of everything, so each order must have been confirmed.
  if (found !== `${placed} CONFIRMED`) wrong.push(`${placed} orders were accepted, and there are ${found}`);
  for (const name of ['order', 'stock'] as const) {
    const dead = await count(look[name], `SELECT count(*) FROM inbox WHERE state = 'dead'`);
    if (dead > 0) wrong.push(`${name} gave up on ${dead} events`);
  }
  const held = await heldByOrders(look.order);
  for await (const { productId, quantity, putIn } of listStock(books)) {
    const taken = held.get(productId) ?? 0;
    if (putIn !== quantity + taken)
      wrong.push(`product ${productId}: put in ${putIn}, left ${quantity}, held ${taken}`);
  }
  if (wrong.length > 0) throw new Error(`the sagas went wrong:\n${wrong.join('\n')}`);
}

/** Pieces by product. */
async function heldByOrders(order: Client): Promise<Map<number, number>> {
  const { rows } = await order.query<{ product: number; pieces: string }>(`
    SELECT (line ->> 'productId')::int AS product, sum((line ->> 'quantity')::bigint) AS pieces
    FROM orders CROSS JOIN LATERAL jsonb_array_elements(lines) AS line WHERE status <> 'CANCELED' GROUP BY 1`);
  return new Map(rows.map(({ product, pieces }) => [product, Number(pieces)]));
}

export async function count(client: Client, text: string): Promise<number> {
  const { rows } = await client.query<{ count: string }>(text);
  return Number(rows[0]?.count);
}
