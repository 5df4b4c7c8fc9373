import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { chance } from '../kills/chance.ts';
import { Sight } from './database.ts';
import type { LogKind } from './event-log.ts';
import { whereTheyAre } from './evidence.ts';
import { type Case, judge } from './judge.ts';
import { readLedger } from './ledger.ts';
import { Letters } from './letters.ts';
import { perform } from './perform.ts';
import { describeFault, describeReport, type FaultRecord, type FaultsReport, reportOf } from './report.ts';
import { Rogue } from './rogue.ts';
import { plantSabotage } from './sabotage.ts';
import { type KindName, type Planned, schedule, strikerOf } from './schedule.ts';
import type { Stage } from './strike.ts';
import { Told } from './told.ts';
import { Traffic } from './traffic.ts';
import { World } from './world.ts';

export interface FaultOptions {
  /** Ends after so many that counted. */
  readonly faults: number;
  /** Begins no new one after so many. */
  readonly minutes: number;
  readonly seed: number;
  readonly log: LogKind;
  readonly kinds?: readonly KindName[];
  /** A new folder, removed when all is well, when left out. */
  readonly dataDir?: string;
}

export interface FaultsHooks {
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/** So many orders open make a fault count. */
export const OPEN = 10;
/** So many faults that counted are between two audits. */
const AUDIT_EVERY = 20;

/** Does harm and looks, until enough of it was survived, or the first thing that is wrong. */
export async function runFaults(options: FaultOptions, { say, signal }: FaultsHooks): Promise<FaultsReport> {
  const dataDir = resolve(options.dataDir ?? mkdtempSync(join(tmpdir(), 'tradewind-faults-')));
  mkdirSync(dataDir, { recursive: true });
  // PostgreSQL runs as another user when this process is root.
  if (options.dataDir === undefined) chmodSync(dataDir, 0o755);
  say(`seed ${options.seed}: ${commandOf(options)}`);
  say(`logs in ${join(dataDir, 'logs')}`);
  const run = new Run(options, { say, signal });
  const findings: string[] = [];
  try {
    findings.push(...(await run.whole(dataDir)));
  } catch (error) {
    if (signal.aborted) {
      if (options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
      throw error;
    }
    findings.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  const report = reportOf({ options, records: run.records, findings, ...run.figures() });
  say(describeReport(report));
  if (report.ok && options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
  else writeFileSync(join(dataDir, 'faults.json'), JSON.stringify(report, undefined, 2));
  if (!report.ok) say(`${findings.join('\n')}\nkept: ${dataDir}\nagain: ${commandOf(options)}`);
  return report;
}

function commandOf({ faults, minutes, seed, log, kinds }: FaultOptions): string {
  const flags = [
    ...(Number.isFinite(faults) ? [`--faults ${faults}`] : []),
    ...(Number.isFinite(minutes) ? [`--minutes ${minutes}`] : []),
    ...(kinds ? [`--kinds ${kinds.join(',')}`] : []),
  ];
  return `npm run faults -- --log ${log} --seed ${seed} ${flags.join(' ')}`.trim();
}

/** One run, and what is known of it so far. */
class Run {
  readonly records: FaultRecord[] = [];
  readonly #options: FaultOptions;
  readonly #hooks: FaultsHooks;
  #world: World | undefined;
  #traffic: Traffic | undefined;
  #audits = 0;

  constructor(options: FaultOptions, hooks: FaultsHooks) {
    this.#options = options;
    this.#hooks = hooks;
  }

  figures() {
    return {
      audits: this.#audits,
      accepted: this.#traffic?.accepted ?? 0,
      retries: this.#traffic?.retries ?? 0,
      restarts: this.#world?.restarts ?? 0,
    };
  }

  /** @returns what is wrong; none when all is well */
  async whole(dataDir: string): Promise<readonly string[]> {
    const { say, signal } = this.#hooks;
    const { log, seed } = this.#options;
    await using world = await World.open({ dataDir, log, signal, say });
    this.#world = world;
    const sight = (service: string) => new Sight(world.databaseUrl(service));
    await using order = sight('order');
    await using stock = sight('stock');
    await using product = sight('product');
    const databases = { order, stock, product };
    await plantSabotage(order, 'order');
    await plantSabotage(stock, 'stock');
    const { products } = await readLedger(databases);
    const catalogue = products.map(({ product_id }) => product_id).sort((a, b) => a - b);
    await using traffic = new Traffic({ addresses: world.outside, seed: seed + 1, catalogue, signal });
    this.#traffic = traffic;
    const [letters, told] = [new Letters(), new Told()];
    const expected: Case['expected'][number][] = [];
    const rogue = new Rogue(() => world.log, catalogue);
    const putIn = new Map(products.map(({ product_id, put_in }) => [product_id, Number(put_in)]));
    const stage: Stage = { world, rogue, databases, expect: (letter) => void expected.push(letter), signal };
    say(`everything runs: ${world.members.length} processes of services`);
    return await this.#inTurn(stage, {
      world,
      traffic,
      letters,
      told,
      rogue,
      expected,
      databases,
      putIn,
      signal,
    });
  }

  async #inTurn(stage: Stage, given: Case): Promise<readonly string[]> {
    const { faults, minutes } = this.#options;
    const deadline = Date.now() + minutes * 60_000;
    let audited = 0;
    given.traffic.resume();
    for (const planned of schedule(this.#options)) {
      const counted = this.records.filter(({ counts }) => counts).length;
      const over = counted >= faults || Date.now() > deadline;
      if (over || counted >= audited + AUDIT_EVERY) {
        audited = counted;
        const findings = await this.#audit(given);
        if (over || findings.length > 0) return counted === 0 ? ['no fault counted', ...findings] : findings;
        given.traffic.resume();
      }
      const findings = await this.#one(planned, stage, given);
      if (findings.length > 0) return findings;
    }
    return [];
  }

  async #one(planned: Planned, stage: Stage, given: Case): Promise<readonly string[]> {
    const { say } = this.#hooks;
    const dice = chance(planned.seed);
    const strike = strikerOf(planned.kind)(stage, dice);
    if (!strike) return [];
    const { record, findings } = await perform(planned, strike, {
      stage,
      traffic: given.traffic,
      dice,
      open: OPEN,
    });
    this.records.push(record);
    say(describeFault(record, this.records.filter(({ counts }) => counts).length));
    if (findings.length === 0) return [];
    return [...findings, ...(await whereTheyAre(given))];
  }

  async #audit(given: Case): Promise<readonly string[]> {
    const began = Date.now();
    const findings = await judge(given);
    this.#audits += 1;
    const took = ((Date.now() - began) / 1_000).toFixed(1);
    const outcome = findings.length === 0 ? 'clean' : 'NOT CLEAN';
    this.#hooks.say(
      `        audit at rest after ${took} s, ${given.traffic.accepted} orders so far: ${outcome}`,
    );
    return findings.length === 0 ? [] : [...findings, ...(await whereTheyAre(given))];
  }
}
