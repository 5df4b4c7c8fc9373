import { OrderCanceledSchema } from '@tradewind/contracts/order/v1/events';
import type { Database, EntityManager } from '@tradewind/database/database';
import { run, statement } from '@tradewind/database/statement';
import { Facts } from '@tradewind/messaging/outbox';
import { delay } from '@tradewind/process/backoff';
import type { ServiceDeps } from '@tradewind/service/define';
import { type Line, Order } from './order.ts';
import { orderCreated } from './order-created.ts';
import { Orders, type Standing } from './orders.ts';
import { Sagas, type Settled } from './sagas.ts';

export interface SweepOptions {
  /** Milliseconds that an order is PENDING before it is told again. */
  readonly afterMs: number;
  /** Milliseconds that an order may be PENDING. */
  readonly deadlineMs: number;
  /** Whether the outbox empties itself; true when left out. If not, its depth says nothing. */
  readonly relay?: boolean;
  /** Orders a transaction at most; 100 when left out. */
  readonly step?: number;
}

/** What a step did, in orders. */
export interface Swept {
  readonly toldAgain: number;
  readonly timedOut: number;
  /** Those that timed out, for the metrics. */
  readonly settled: readonly Settled[];
}

/** Of all processes that sweep, one takes a step at a time. */
const SWEEP_LOCK = 7_420_004;
/** Facts in the outbox with which nothing is told again: they are late because the log is away, and more would only queue up behind them. */
const CROWDED = 1_000;
/** Steps a round: with the step's size, this bounds what a sweep adds to a system that is behind. */
const STEPS = 10;
const ROUND_MAX_MS = 10_000;

const mayStart = statement<{ mine: boolean; crowded: boolean }>(`
  SELECT pg_try_advisory_xact_lock($1) AS mine, (SELECT count(*) FROM (SELECT FROM outbox LIMIT $2) AS row) >= $2 AS crowded`);

// An order that somebody is working on is not stuck.
const lockLate = statement<{
  id: string;
  customer_id: string;
  lines: Line[];
  total_price: string;
  currency: string;
  revision: string;
  timed_out: boolean;
  age: number;
}>(`
  SELECT id, customer_id, lines, total_price, currency, revision, accepted_at <= now() - $2::float8 * interval '1 ms' AS timed_out,
    extract(epoch FROM now() - accepted_at)::float8 AS age
  FROM orders WHERE status = 'PENDING' AND waits_since <= now() - least($1::float8, $2::float8) * interval '1 ms'
  ORDER BY waits_since LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED`);

// Told again at 1, 4, 16, 64 … times the first wait: what was lost is found soon, and an event that can't be handled makes six dead letters
// a day. The next time is counted from the acceptance, so a sweeper that comes late does not make up for what it missed.
const wait = statement(`
  UPDATE orders SET waits_since = accepted_at - least($2::float8, $3::float8) * interval '1 ms' + least($3::float8, $2::float8 * power(4::float8,
    1 + floor(ln(greatest(1, extract(epoch FROM now() - accepted_at)::float8 * 1000 / $2::float8)) / ln(4::float8)))) * interval '1 ms'
  WHERE id = ANY($1::uuid[])`);

/**
 * Looks after orders that are PENDING for too long, oldest first, in one transaction: their order.created is told again under a new id, which
 * stock answers as it did the first time; after the deadline they are canceled.
 * @returns undefined when it is another process's turn, or the outbox is crowded
 */
export async function sweepStep(
  database: Pick<Database, 'transaction'>,
  options: SweepOptions,
): Promise<Swept | undefined> {
  const { afterMs, deadlineMs, relay = true, step = 100 } = options;
  return await database.transaction(async (em) => {
    const [start] = await run(em, mayStart, [SWEEP_LOCK, CROWDED]);
    if (!start?.mine || (relay && start.crowded)) return undefined;
    const rows = await run(em, lockLate, [afterMs, deadlineMs, step]);
    const late = rows.map(({ customer_id, total_price, timed_out, ...row }) => ({
      order: Object.assign(new Order(), row, {
        customerId: customer_id,
        totalPrice: Number(total_price),
        revision: Number(row.revision),
        status: 'PENDING' as const,
      }),
      timedOut: timed_out,
    }));
    const again = late.filter(({ timedOut }) => !timedOut).map(({ order }) => order);
    const over = late.filter(({ timedOut }) => timedOut).map(({ order }) => order);
    const facts = new Facts('order');
    for (const order of again) facts.add(orderCreated(order));
    if (again.length > 0) await run(em, wait, [again.map(({ id }) => id), afterMs, deadlineMs]);
    const settled = await timeOut(em, over, facts);
    await facts.save(em);
    return { toldAgain: again.length, timedOut: over.length, settled };
  });
}

async function timeOut(
  em: EntityManager,
  orders: readonly Standing[],
  facts: Facts,
): Promise<readonly Settled[]> {
  const rows = new Orders(orders);
  for (const order of orders) {
    if (!order.reject('timed out')) continue;
    rows.settle('timedOut', order);
    const { id, reason, revision } = order;
    facts.publish(OrderCanceledSchema, { orderId: id, reason, revision: BigInt(revision) });
  }
  await rows.save(em);
  return rows.settled;
}

/** Sweeps in rounds until the signal aborts. */
export async function sweep(
  {
    database,
    wake,
    logger,
    config,
    metrics,
  }: Pick<
    ServiceDeps<{ ORDER_SWEEP_AFTER: number; ORDER_DEADLINE: number; RELAY: boolean }>,
    'database' | 'wake' | 'logger' | 'config' | 'metrics'
  >,
  signal: AbortSignal,
): Promise<void> {
  const sagas = metrics.of(Sagas);
  const options = {
    afterMs: Math.max(1, config.ORDER_SWEEP_AFTER),
    deadlineMs: config.ORDER_DEADLINE,
    relay: config.RELAY,
    step: 100,
  };
  const roundMs = Math.min(ROUND_MAX_MS, Math.max(50, Math.min(options.afterMs, options.deadlineMs) / 4));
  for (;;) {
    for (let steps = 0, full = true; full && steps < STEPS; steps++) {
      signal.throwIfAborted();
      const swept = await sweepStep(database, options);
      const { toldAgain = 0, timedOut = 0, settled = [] } = swept ?? {};
      const count = toldAgain + timedOut;
      if (count > 0) {
        wake();
        logger.warn({ toldAgain, timedOut }, 'orders were pending for too long');
      }
      sagas.toldAgain.add(toldAgain);
      for (const one of settled) sagas.settled(one);
      full = count === options.step;
    }
    await delay(roundMs, signal);
  }
}
