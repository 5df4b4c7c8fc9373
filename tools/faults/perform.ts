import { delay } from '@tradewind/process/backoff';
import type { Chance } from '../kills/chance.ts';
import type { Sight } from './database.ts';
import type { FaultRecord } from './report.ts';
import type { Planned } from './schedule.ts';
import type { Stage, Strike } from './strike.ts';
import type { Traffic } from './traffic.ts';

export interface Setting {
  readonly stage: Stage;
  readonly traffic: Traffic;
  readonly dice: Chance;
  /** So many orders have to be open. */
  readonly open: number;
}

/** Orders are stuck when for so long not one of them has settled, though nothing is kept away any more … */
const STALL_MS = 120_000;
/** … or when some are left after so long. */
const RECOVERY_MS = 600_000;
const POLL_MS = 50;
/** How long to wait for enough open orders; a fault that comes without them does not count. */
const CROWD_MS = 3_000;

/**
 * Waits for a moment in which enough orders are open, does the harm, and waits until everything is there again and each order that
 * was open has settled.
 */
export async function perform(
  { kind, seed }: Planned,
  strike: Strike,
  { stage, traffic, dice, open: enough }: Setting,
): Promise<{ record: FaultRecord; findings: readonly string[] }> {
  const { databases, world, signal } = stage;
  await crowd(databases.order, traffic, enough, signal);
  await delay(dice.below(10), signal);
  let hitAt = Date.now();
  await strike.run(() => {
    hitAt = Date.now();
  });
  const healedAt = Date.now();
  const findings: string[] = [];
  await world.ready().catch((error: unknown) => {
    signal.throwIfAborted();
    findings.push(error instanceof Error ? error.message : String(error));
  });
  const stuck = await untilSettled(databases.order, healedAt, signal);
  if (stuck > 0) findings.push(`${stuck} orders do not settle after ${kind}: ${strike.target}`);
  const open = await openAt(databases.order, hitAt);
  const record: FaultRecord = {
    kind,
    seed,
    target: strike.target,
    at: new Date(hitAt).toISOString(),
    open,
    counts: open >= enough,
    harmMs: healedAt - hitAt,
    recoveryMs: Date.now() - healedAt,
  };
  return { record, findings };
}

/** More customers at once, until enough orders are open. */
async function crowd(order: Sight, traffic: Traffic, enough: number, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + CROWD_MS;
  for (let looks = 0; Date.now() < deadline; looks += 1) {
    if (looks % 25 === 0) traffic.burst(60);
    const [row] = await order.query<{ count: string }>(
      `SELECT count(*) FROM orders WHERE status = 'PENDING'`,
    );
    // Some settle between the look and the harm.
    if (Number(row?.count) >= 2 * enough) return;
    await delay(2, signal);
  }
}

/** @returns how many do not settle */
async function untilSettled(order: Sight, createdBeforeMs: number, signal: AbortSignal): Promise<number> {
  const began = Date.now();
  for (let least = Number.POSITIVE_INFINITY, progressAt = began; ; await delay(POLL_MS, signal)) {
    const [row] = await order.query<{ count: string }>(
      `SELECT count(*) FROM orders WHERE status = 'PENDING' AND created_at < $1`,
      [new Date(createdBeforeMs)],
    );
    const left = Number(row?.count);
    if (left === 0) return 0;
    if (left < least) progressAt = Date.now();
    least = Math.min(least, left);
    if (Date.now() - progressAt > STALL_MS || Date.now() - began > RECOVERY_MS) return left;
  }
}

/** Which orders were open is read from them afterwards: nobody can be asked in the very moment of a fault. */
async function openAt(order: Sight, at: number): Promise<number> {
  const [row] = await order.query<{ count: string }>(
    `SELECT count(*) FROM orders WHERE created_at < $1 AND created_at > $1::timestamptz - interval '10 minutes'
       AND (status = 'PENDING' OR (updated_at > $1 AND reason <> 'canceled by the customer'))`,
    [new Date(at)],
  );
  return Number(row?.count);
}
