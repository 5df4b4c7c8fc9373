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
import { countingOf, openRatingsAt } from './open-ratings.ts';
import type { Strike } from './plan.ts';
import type { System } from './system.ts';

export interface RoundReport {
  readonly strike: Strike;
  /** Orders that were accepted and not settled when the kill came. */
  readonly open: number;
  /** Ratings that were accepted and not counted: by the victim's service if it counts ratings, else by the ratings service. */
  readonly openRatings: number;
  /** Ratings that were accepted in the round. */
  readonly ratings: number;
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
/** Ratings for each order: when those are hit who count them, and else. */
const RATINGS = { hit: 1, else: 0.1 };

interface Hit {
  readonly at: number;
  readonly answered: number;
  readonly backMs: number;
}

export interface RoundOptions {
  readonly orders: number;
  readonly signal: AbortSignal;
}

/** Replays orders, some of which are cancelled, kills in the middle of it, and looks whether everything is as it must be. */
export async function runRound(
  system: System,
  strike: Strike,
  { orders, signal: outer }: RoundOptions,
): Promise<RoundReport> {
  const began = Date.now();
  const signal = AbortSignal.any([outer, AbortSignal.timeout(ROUND_MS)]);
  const { report, hit, canceled } = await replayAndKill(system, strike, { orders, signal });
  const found = await ordersSince(openBooks({ ...system.addresses, signal, patienceMs: PATIENCE_MS }), began);
  const { deadLetters, unsent } = await examine(system);
  return {
    strike,
    open: [...found.values()].filter((order) => !canceled.has(order.id) && wasOpen(order, hit.at)).length,
    openRatings: await openRatingsAt(system, countingOf(strike.victim) ?? 'ratings', hit.at),
    ratings: report.ratings?.given ?? 0,
    answered: hit.answered,
    backMs: hit.backMs,
    tookMs: Date.now() - began,
    canceled: canceled.size,
    retries: Object.values(report.retries).reduce((sum, count) => sum + count, 0),
    findings: [...findingsOf(report), ...notCanceled(canceled, found), ...deadLetters, ...unsent],
  };
}

/** Whether the kill hit what it was meant to hit. */
export function hitsOpen({ strike, open, openRatings }: RoundReport): boolean {
  return (countingOf(strike.victim) ? openRatings : open) > 0;
}

/** The replay, the kill and the customers go on side by side; what fails first ends the others. */
async function replayAndKill(system: System, strike: Strike, { orders, signal: outer }: RoundOptions) {
  const failed = new AbortController();
  const placed = new AbortController();
  const signal = AbortSignal.any([outer, failed.signal]);
  const books = openBooks({ ...system.addresses, signal, patienceMs: PATIENCE_MS });
  await using aim = await aimAt(system, strike.victim);
  let hit: Promise<Hit> | undefined;
  let cancels: Promise<Set<string>> | undefined;
  const watched = <T>(work: Promise<T>): Promise<T> => {
    work.catch((error: unknown) => failed.abort(error));
    return work;
  };
  const replayed = replay({
    ...system.addresses,
    limit: orders,
    ...(strike.rate !== undefined && { rate: strike.rate }),
    restock: 0.9,
    ratings: countingOf(strike.victim) ? RATINGS.hit : RATINGS.else,
    patienceMs: PATIENCE_MS,
    signal,
    onRun(run) {
      const until = AbortSignal.any([signal, placed.signal]);
      cancels = watched(cancelSome(books, run, chance(strike.seed + 1), until));
    },
    onProgress(phase, done) {
      if (phase !== 'placing') placed.abort();
      else if (done >= strike.afterOrders) hit ??= watched(fireAt(aim, strike.afterMs, done, signal));
    },
  });
  // Whoever ends the system must not be overtaken by a kill that starts it again.
  const report = await replayed.catch(async (error: unknown) => {
    await Promise.allSettled([hit, cancels]);
    throw error;
  });
  if (!hit || !cancels) throw new Error(`the replay ended before its moment:\n${formatLoad(report)}`);
  return { report, hit: await hit, canceled: await cancels };
}

async function fireAt(aim: Aim, afterMs: number, answered: number, signal: AbortSignal): Promise<Hit> {
  await delay(afterMs, signal);
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
