import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { withSettings } from '@tradewind/process/variables';
import { freePort } from '@tradewind/testing/port';
import { type AuditReport, audit } from '../load/audit.ts';
import { formatAudit } from '../load/report.ts';
import { functions, services, variable } from '../start/services.ts';
import { type Running, startTradewind } from '../start/tradewind.ts';
import { type Tally, Traffic } from './traffic.ts';

export interface RollingOptions {
  readonly rounds: number;
  /** Of each kind. */
  readonly clients: number;
  /** For a call with all its repetitions. */
  readonly deadlineMs: number;
  /** The next process opens the port before the last one leaves it. */
  readonly overlap: boolean;
  /** A new folder, removed when all is well, when left out. */
  readonly dataDir?: string;
}

export interface RollingReport {
  /** No call failed, every order that was accepted is there once and settled, and the audit found nothing. */
  readonly ok: boolean;
  readonly overlap: boolean;
  readonly restarts: number;
  /** The longest restart: from the wish to the next process's readiness. */
  readonly longestRestartMs: number;
  /** By kind of client. */
  readonly tallies: Readonly<Record<string, Tally>>;
  readonly findings: readonly string[];
  readonly audit: AuditReport;
}

export interface RollingHooks {
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Calls of each kind that are answered between two restarts. */
const BETWEEN = 20;

/** Restarts every process in turn, under load, and looks whether any client noticed more than a delay. */
export async function runRolling(
  { dataDir: given, ...options }: RollingOptions,
  { say, signal }: RollingHooks,
): Promise<RollingReport> {
  const dataDir = resolve(given ?? mkdtempSync(join(tmpdir(), 'tradewind-rolling-')));
  mkdirSync(dataDir, { recursive: true });
  // PostgreSQL runs as another user when this process is root.
  if (given === undefined) chmodSync(dataDir, 0o755);
  say(`logs in ${join(dataDir, 'logs')}`);
  const report = await rollIn(dataDir, options, { say, signal });
  if (report.ok && given === undefined) rmSync(dataDir, { recursive: true, force: true });
  else if (!report.ok) say(`kept: ${dataDir}`);
  return report;
}

async function rollIn(
  dataDir: string,
  { rounds, clients, deadlineMs, overlap }: RollingOptions,
  { say, signal }: RollingHooks,
): Promise<RollingReport> {
  await using running = await startTradewind(
    { dataDir, split: true, env: await environment(overlap) },
    { say, signal },
  );
  const { product = '', order = '', stock = '', ratings = '' } = running.addresses.serviceUrls;
  const addresses = { productUrl: product, orderUrl: order, stockUrl: stock, ratingsUrl: ratings };
  const traffic = new Traffic({ ...addresses, clients, deadlineMs });
  const times: number[] = [];
  try {
    for (let round = 1; round <= rounds; round += 1)
      times.push(...(await rollOnce(running, traffic, { round, rounds, say, signal })));
  } finally {
    await traffic.stop();
  }
  const audited = await audit({ ...addresses, expectedRatings: traffic.ratings, signal });
  const findings = [
    ...Object.entries(traffic.tallies).flatMap(([kind, { failed }]) =>
      failed.map((text) => `${kind}: ${text}`),
    ),
    ...(audited.ok ? [] : [formatAudit(audited)]),
    ...(audited.orders.total === traffic.accepted.length
      ? []
      : [`${traffic.accepted.length} orders were accepted, and ${audited.orders.total} are there`]),
  ];
  return {
    ok: findings.length === 0,
    overlap,
    restarts: times.length,
    longestRestartMs: Math.max(...times),
    tallies: traffic.tallies,
    findings,
    audit: audited,
  };
}

/** @returns how long each restart took, milliseconds */
async function rollOnce(
  running: Running,
  traffic: Traffic,
  { round, rounds, say, signal }: RollingHooks & { round: number; rounds: number },
): Promise<number[]> {
  const times: number[] = [];
  for (const name of services.flatMap(({ name, roles }) => roles.map((role) => `${name} ${role}`))) {
    await traffic.more(BETWEEN, signal);
    const since = performance.now();
    await running.restart(name);
    times.push(performance.now() - since);
    const failed = Object.values(traffic.tallies).reduce((sum, tally) => sum + tally.failed.length, 0);
    say(
      `${round}/${rounds}  ${name.padEnd(14)} restarted in ${((times.at(-1) ?? 0) / 1_000).toFixed(1)} s, ${failed} calls failed so far`,
    );
  }
  await traffic.more(BETWEEN, signal);
  return times;
}

async function environment(overlap: boolean): Promise<NodeJS.ProcessEnv> {
  const ports = [...services, ...functions].map(
    async ({ name }) => [variable(name, 'PORT'), String(await freePort())] as const,
  );
  return withSettings(process.env, {
    ...(overlap && { REUSE_PORT: 'true' }),
    TRADEWIND_POSTGRES_PORT: String(await freePort()),
    REDIS_URL: undefined,
    ...Object.fromEntries(services.map(({ name }) => [variable(name, 'DATABASE_URL'), undefined])),
    ...Object.fromEntries(await Promise.all(ports)),
  });
}

/** For people. */
export function formatRolling({
  overlap,
  restarts,
  longestRestartMs,
  tallies,
  findings,
  audit: audited,
}: RollingReport): string {
  const kinds = Object.entries(tallies).map(
    ([kind, { calls, retries, failed, longestMs }]) =>
      `${kind.padEnd(8)} ${calls} calls, ${retries} attempts repeated, ${failed.length} failed, longest ${Math.round(longestMs)} ms`,
  );
  const ratings = audited.ratings && 'ratings' in audited.ratings ? audited.ratings.ratings : 0;
  const how = overlap ? 'the next process before the last one ended' : 'one process after the other';
  return [
    ...kinds,
    `${restarts} restarts, ${how}, the longest ${(longestRestartMs / 1_000).toFixed(1)} s; ${audited.orders.total} orders, ${ratings} ratings`,
    findings.length === 0
      ? 'no call failed; the audit is clean'
      : `NOT as it must be:\n${findings.slice(0, 20).join('\n')}`,
  ].join('\n');
}
