import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { LogKind } from './event-log.ts';
import { Run } from './one-run.ts';
import { describeReport, type FaultsReport, reportOf } from './report.ts';
import type { KindName } from './schedule.ts';

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
