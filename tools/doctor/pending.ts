import { OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { StockExceededAmountSchema, StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import { topicOf } from '@tradewind/messaging/contract';
import { type FactRow, held, inOutbox } from '@tradewind/messaging/trail';
import { type Asked, ask } from '@tradewind/process/ask';
import type { Pool } from 'pg';
import { lookInto, rowsOf } from './databases.ts';
import type { PendingOrder, PendingReport, Whereabout } from './report.ts';
import { type Trail, whereIs } from './trail.ts';

/** What the search for the events of pending orders may look into. */
export interface Sources extends Omit<Trail, 'held'> {
  readonly pools: { readonly order: Pool; readonly stock: Pool };
  readonly limitMs: number;
}

const COUNTED = 100_000;
const PENDING = `
  SELECT id, extract(epoch FROM clock_timestamp() - created_at)::float8 * 1000 AS ms,
    (SELECT count(*)::int FROM (SELECT FROM orders WHERE status = 'PENDING'
      AND created_at < clock_timestamp() - $1::float8 * interval '1 ms' LIMIT ${COUNTED}) AS row) AS count
  FROM orders WHERE status = 'PENDING' AND created_at < clock_timestamp() - $1::float8 * interval '1 ms'
  ORDER BY created_at LIMIT $2`;
const RESERVATION = 'SELECT order_id AS id, outcome FROM reservation WHERE order_id = ANY($1::uuid[])';

const CREATED = topicOf(OrderCreatedSchema).name;
const ANSWERS: Readonly<Record<string, string>> = {
  reserved: topicOf(StockReservedSchema).name,
  exceeded: topicOf(StockExceededAmountSchema).name,
};

interface Pending {
  readonly id: string;
  readonly ms: number;
  readonly count: number;
}

/** The orders that are PENDING for longer than `afterMs`, oldest first. */
export async function pendingOrders(
  order: Pool,
  { afterMs, most, limitMs }: { afterMs: number; most: number; limitMs: number },
): Promise<Asked<Pending[]>> {
  return await ask(limitMs, () => rowsOf<Pending>(order, PENDING, [afterMs, most]));
}

/** Looks for the event that each of them waits for: in the order's own outbox, on its way to stock, in stock, on its way back. */
export async function tracePending(
  pending: Asked<readonly Pending[]>,
  afterMs: number,
  sources: Sources,
): Promise<PendingReport> {
  if ('why' in pending) return { after_ms: afterMs, orders: [] };
  const ids = pending.answer.map(({ id }) => id);
  if (ids.length === 0) return { after_ms: afterMs, count: 0, orders: [] };
  const { order, stock } = sources.pools;
  const limit = sources.limitMs;
  const [orderOutbox, stockOutbox, reservations, heldByOrder, heldByStock] = await Promise.all([
    ask(limit, () => inOutbox(lookInto(order), ids)),
    ask(limit, () => inOutbox(lookInto(stock), ids)),
    ask(limit, () => rowsOf<{ id: string; outcome: string }>(stock, RESERVATION, [ids])),
    ask(limit, () => held(lookInto(order), 'order', ids)),
    ask(limit, () => held(lookInto(stock), 'stock', ids)),
  ]);
  const trail: Trail = { ...sources, held: { order: heldByOrder, stock: heldByStock } };
  const find = async (id: string): Promise<Whereabout> => {
    const unsent = waitsIn('order', orderOutbox, id, CREATED);
    if (unsent) return unsent;
    if ('why' in reservations) {
      const found = await whereIs(trail, 'stock', CREATED, id);
      return found.at === 'topic' || found.at === 'dead letter'
        ? found
        : { at: 'unknown', why: `stock's database: ${reservations.why}` };
    }
    const outcome = reservations.answer.find((row) => row.id === id)?.outcome;
    if (outcome === undefined) return await whereIs(trail, 'stock', CREATED, id);
    const answer = ANSWERS[outcome];
    if (answer === undefined) return { at: 'handled', group: 'stock', topic: CREATED, state: outcome };
    return waitsIn('stock', stockOutbox, id, answer) ?? (await whereIs(trail, 'order', answer, id));
  };
  const orders = await Promise.all(
    pending.answer.map(async ({ id, ms }): Promise<PendingOrder> => {
      const asked = await ask(sources.limitMs, () => find(id));
      const where: Whereabout = 'answer' in asked ? asked.answer : { at: 'unknown', why: asked.why };
      return { id, pending_ms: Math.round(ms), where, ...inWords(where, id) };
    }),
  );
  return { after_ms: afterMs, count: pending.answer[0]?.count ?? 0, orders };
}

function waitsIn(
  service: string,
  rows: Asked<readonly FactRow[]>,
  id: string,
  topic: string,
): Whereabout | undefined {
  if ('why' in rows) return undefined;
  const row = rows.answer.find((candidate) => candidate.key === id && candidate.topic === topic);
  return row && { at: 'outbox', service, topic, since_ms: Math.round(row.ms) };
}

/** Where it is and who should act next, in sentences. */
function inWords(where: Whereabout, id: string): { text: string; next: string } {
  switch (where.at) {
    case 'outbox':
      return {
        text: `its ${where.topic} is in ${where.service}'s outbox`,
        next: `${where.service} sends it as soon as it runs and the event log takes it`,
      };
    case 'topic':
      return {
        text: `its ${where.topic} is on the log at ${where.topic}/${where.partition}/${where.offset}, and ${where.group} has not read it: ${where.ahead} come first`,
        next: `${where.group} reads it as soon as its listen process runs`,
      };
    case 'held': {
      const first = where.ahead > 0 ? `behind ${where.ahead} of its key, ` : '';
      return {
        text: `its ${where.topic} is held by ${where.group}, ${first}after ${where.attempts} attempts: ${where.error || 'waits for its turn'}`,
        next: `${where.group} tries again at ${where.next_attempt_at}; what it fails of has to be mended`,
      };
    }
    case 'dead letter':
      return {
        text: `its ${where.topic} is a dead letter of ${where.group} (${where.reason}): ${where.error}`,
        next: `you: npm run dlq -- show ${where.place}, mend the cause, npm run dlq -- redrive ${where.place}`,
      };
    case 'handled':
      return {
        text: `its ${where.topic} was handled by ${where.group} (${where.state}), and the order does not know`,
        next: `order tells it again by itself after ORDER_SWEEP_AFTER; if that changes nothing, cancel it: POST /api/v1/orders/${id}/cancel`,
      };
    case 'nowhere':
      return {
        text: `its ${where.topic} is neither in an outbox, nor on the log where ${where.group} would find it, nor held, nor a dead letter`,
        next: `order tells it again by itself after ORDER_SWEEP_AFTER, or cancel it: POST /api/v1/orders/${id}/cancel`,
      };
    case 'unknown':
      return { text: `nobody knows where its event is: ${where.why}`, next: 'you: mend that first' };
  }
}
