import { OrderStatus } from '@tradewind/contracts/order/v1/order';
import { delay } from '@tradewind/process/backoff';
import { type OrderEntry, openBooks } from '../load/books.ts';
import { type LoadReport, replay } from '../load/replay.ts';
import { formatLoad } from '../load/report.ts';
import { ordersSince } from '../load/settle.ts';
import { type Aim, aimAt } from './aim.ts';
import { cancelSome } from './cancels.ts';
import { chance } from './chance.ts';
import { examine } from './evidence.ts';
import type { Strike } from './plan.ts';
import type { System } from './system.ts';

export interface RoundReport {
  readonly strike: Strike;
  /** Orders that were accepted and not settled when the kill came. */
  readonly open: number;
  /** Orders that had been answered by then. */
  readonly answered: number;
  /** Until what was killed was there again. */
  readonly backMs: number;
  readonly tookMs: number;
  /** Orders that were cancelled by customers meanwhile. */
  readonly canceled: number;
  /** Requests that were repeated. */
  readonly retries: number;
  /** What is wrong, for people; none when all is as it must be. */
  readonly findings: readonly string[];
}

/** A round that takes longer hangs. */
const ROUND_MS = 180_000;
const PATIENCE_MS = 90_000;

interface Hit {
  readonly at: number;
  readonly answered: number;
  readonly backMs: number;
}

/** Replays orders, some of which are cancelled, kills in the middle of it, and looks whether everything is as it must be. */
export async function runRound(
  system: System,
  strike: Strike,
  { orders, signal: outer }: { readonly orders: number; readonly signal: AbortSignal },
): Promise<RoundReport> {
  const began = Date.now();
  const failed = new AbortController();
  const signal = AbortSignal.any([outer, failed.signal, AbortSignal.timeout(ROUND_MS)]);
  const books = openBooks({ ...system.addresses, signal, patienceMs: PATIENCE_MS });
  await using aim = await aimAt(system, strike.victim);
  const placed = new AbortController();
  const hit = Promise.withResolvers<Hit>();
  let cancels: Promise<Set<string>> = Promise.resolve(new Set());
  let fired = false;
  const giveUp = (error: unknown): never => {
    failed.abort(error);
    throw error;
  };
  const replayed = replay({
    ...system.addresses,
    limit: orders,
    ...(strike.rate !== undefined && { rate: strike.rate }),
    restock: 0.9,
    patienceMs: PATIENCE_MS,
    signal,
    onRun(run) {
      const until = AbortSignal.any([signal, placed.signal]);
      cancels = cancelSome(books, run, chance(strike.seed + 1), until).catch(giveUp);
      cancels.catch(() => undefined);
    },
    onProgress(phase, done) {
      if (phase !== 'placing') placed.abort();
      if (fired || phase !== 'placing' || done < strike.afterOrders) return;
      fired = true;
      hit.resolve(fireAt(aim, strike.afterMs, done).catch(giveUp));
    },
  });
  const [report, { at, answered, backMs }] = await Promise.all([replayed.catch(giveUp), hit.promise]);
  const canceled = await cancels;
  const found = await ordersSince(books, began);
  const { deadLetters, unsent } = await examine(system);
  return {
    strike,
    open: [...found.values()].filter((order) => !canceled.has(order.id) && wasOpen(order, at)).length,
    answered,
    backMs,
    tookMs: Date.now() - began,
    canceled: canceled.size,
    retries: Object.values(report.retries).reduce((sum, count) => sum + count, 0),
    findings: [...findingsOf(report), ...notCanceled(canceled, found), ...deadLetters, ...unsent],
  };
}

async function fireAt(aim: Aim, afterMs: number, answered: number): Promise<Hit> {
  await delay(afterMs);
  const at = await aim.fire();
  await aim.back();
  return { at, answered, backMs: Date.now() - at };
}

/** Which of a round's orders were open is read from the orders afterwards: nobody can be asked in the very moment of a kill. */
function wasOpen({ createdAtMs, updatedAtMs, status }: OrderEntry, at: number): boolean {
  return createdAtMs < at && (status === OrderStatus.PENDING || updatedAtMs > at);
}

function findingsOf(report: LoadReport): string[] {
  return report.ok ? [] : [formatLoad(report)];
}

function notCanceled(canceled: ReadonlySet<string>, found: ReadonlyMap<string, OrderEntry>): string[] {
  return [...canceled]
    .filter((id) => found.get(id)?.status !== OrderStatus.CANCELED)
    .map((id) => `order ${id} was answered as cancelled, and is not`);
}
