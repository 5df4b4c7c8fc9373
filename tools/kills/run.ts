import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { judgeRebuild, runRebuild } from '../start/rebuild.ts';
import { chance } from './chance.ts';
import { planStrike, planVictims, type Strike, type Victim } from './plan.ts';
import { hitsOpen, type RoundReport, runRound } from './round.ts';
import { placeWhileStockIsStopped } from './stopped-stock.ts';
import { openSystem, type System } from './system.ts';

export interface KillOptions {
  readonly rounds: number;
  /** A round. */
  readonly orders: number;
  readonly seed: number;
  /** Each in turn when left out. */
  readonly victim?: Victim;
  /** A new folder, removed when all is well, when left out. */
  readonly dataDir?: string;
}

export interface KillsReport {
  readonly ok: boolean;
  readonly seed: number;
  /** Kills that hit while orders were open, or ratings when it was who counts them. */
  readonly kills: number;
  /** Also those that did not. */
  readonly rounds: readonly RoundReport[];
  /** What is wrong, for people. */
  readonly findings: readonly string[];
}

export interface KillsHooks {
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/** A kill that comes when nothing is open proves nothing, so it is tried again, at another moment. */
const TRIES = 8;

/** Kills and looks, round by round, until the first one that does not end clean. */
export async function runKills(options: KillOptions, { say, signal }: KillsHooks): Promise<KillsReport> {
  const { seed, rounds } = options;
  const dataDir = resolve(options.dataDir ?? mkdtempSync(join(tmpdir(), 'tradewind-kills-')));
  mkdirSync(dataDir, { recursive: true });
  // PostgreSQL runs as another user when this process is root.
  if (options.dataDir === undefined) chmodSync(dataDir, 0o755);
  const only = options.victim === undefined ? '' : ` --victim '${options.victim}'`;
  say(`seed ${seed}: npm run kills -- --rounds ${rounds} --orders ${options.orders} --seed ${seed}${only}`);
  say(`logs in ${join(dataDir, 'logs')}`);
  const reports: RoundReport[] = [];
  const findings: string[] = [];
  try {
    const system = await openSystem(dataDir);
    await withSystem(system, async () => {
      findings.push(...(await killInTurn(system, options, { say, signal }, reports)));
      if (findings.length === 0) findings.push(...(await rebuildAtRest(system, say)));
    });
    if (findings.length === 0) {
      findings.push(...(await placeWhileStockIsStopped(system, () => undefined)));
      say(
        findings.length === 0 ? 'three orders placed while stock was stopped settled when it came back' : '',
      );
    }
  } catch (error) {
    if (signal.aborted) {
      if (options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
      throw error;
    }
    findings.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  const ok = findings.length === 0;
  const kills = reports.filter(hitsOpen).length;
  const report: KillsReport = { ok, seed, kills, rounds: reports, findings };
  if (ok && options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
  else writeFileSync(join(dataDir, 'kills.json'), JSON.stringify(report, undefined, 2));
  if (!ok) say(`${findings.join('\n')}\nkept: ${dataDir}`);
  return report;
}

/** Starts it, and ends it again; that must work whatever was killed. */
async function withSystem(system: System, work: () => Promise<void>): Promise<void> {
  await using scope = new AsyncDisposableStack();
  scope.use(system);
  await system.start();
  await work();
  const code = await system.stop();
  if (code !== 0) throw new Error(`after SIGTERM npm start ended with exit code ${code}`);
}

/** After all of it, what is counted must be what the log says. @returns what is wrong */
async function rebuildAtRest(system: System, say: KillsHooks['say']): Promise<string[]> {
  const rebuilt = await runRebuild({
    databaseUrl: system.databaseUrl('ratings'),
    eventLogUrl: system.databaseUrl('log'),
    env: system.env,
  });
  const findings = judgeRebuild(rebuilt, 'after all kills');
  if (findings.length === 0) say(rebuilt.words.trim().split('\n').at(-1) ?? '');
  return findings;
}

/** @returns what was wrong in the round that ended it; none when all rounds were clean */
async function killInTurn(
  system: System,
  { rounds, orders, seed, victim }: KillOptions,
  { say, signal }: KillsHooks,
  reports: RoundReport[],
): Promise<readonly string[]> {
  const seeds = chance(seed + 1);
  const turns =
    victim === undefined ? planVictims(rounds, seed) : Array.from({ length: rounds }, () => victim);
  for (const [index, name] of turns.entries()) {
    for (let tries = 1; ; tries += 1) {
      const strike = planStrike(name, seeds.below(2 ** 32), orders);
      say(`${`${index + 1}/${rounds}`.padStart(7)}  ${describeStrike(strike)}`);
      const report = await runRound(system, strike, { orders, signal });
      reports.push(report);
      say(`         ${describeRound(report)}`);
      if (report.findings.length > 0) return report.findings;
      if (hitsOpen(report)) break;
      if (tries === TRIES) return [`${name}: nothing was open at any of ${TRIES} kills`];
    }
  }
  return [];
}

function describeStrike({ victim, seed, afterOrders, afterMs, rate }: Strike): string {
  const pace = rate === undefined ? '' : `, ${Math.round(rate)} orders/s`;
  return `kill -9 ${victim.padEnd(16)} ${afterMs} ms after order ${afterOrders}${pace} (round's seed ${seed})`;
}

function describeRound(report: RoundReport): string {
  const { open, openRatings, ratings, answered, backMs, tookMs, canceled, retries, findings } = report;
  const hit = hitsOpen(report) ? 'clean' : 'clean, but nothing was open: again';
  const outcome = findings.length > 0 ? 'NOT CLEAN' : hit;
  const times = `back after ${seconds(backMs)}, ${seconds(tookMs)} in all`;
  const opened = `${open} orders and ${openRatings} of ${ratings} ratings open`;
  return `${opened}, ${answered} answered, ${retries} requests repeated, ${canceled} cancelled by customers; ${times}: ${outcome}`;
}

const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;
