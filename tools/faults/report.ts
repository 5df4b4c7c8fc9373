import { percentile } from '../load/clock.ts';
import type { FaultOptions } from './run.ts';

/** A fault that was done. */
export interface FaultRecord {
  readonly kind: string;
  readonly seed: number;
  readonly target: string;
  readonly at: string;
  /** Orders that were accepted and not settled in its moment. */
  readonly open: number;
  readonly counts: boolean;
  /** For so long something was kept away, or ill-treated. */
  readonly harmMs: number;
  /** From then on until everything was there again and each order that was open had settled. */
  readonly recoveryMs: number;
}

export interface FaultsReport {
  readonly ok: boolean;
  readonly seed: number;
  readonly log: string;
  /** Those that counted. */
  readonly survived: number;
  /** Those that came when too few orders were open. */
  readonly uncounted: number;
  readonly byKind: Readonly<Record<string, number>>;
  readonly audits: number;
  readonly accepted: number;
  /** Ratings that were accepted. */
  readonly rated: number;
  /** Requests that customers had to repeat. */
  readonly retries: number;
  /** Of processes. */
  readonly restarts: number;
  readonly recoveryMs: { readonly p50: number; readonly p95: number; readonly max: number };
  readonly faults: readonly FaultRecord[];
  readonly findings: readonly string[];
}

export interface ReportParts {
  readonly options: FaultOptions;
  readonly records: readonly FaultRecord[];
  readonly findings: readonly string[];
  readonly audits: number;
  readonly accepted: number;
  readonly rated: number;
  readonly retries: number;
  readonly restarts: number;
}

export function reportOf({
  options: { seed, log },
  records,
  findings,
  ...figures
}: ReportParts): FaultsReport {
  const counted = records.filter(({ counts }) => counts);
  const byKind: Record<string, number> = {};
  for (const { kind } of counted) byKind[kind] = (byKind[kind] ?? 0) + 1;
  const recovery = counted.map(({ recoveryMs }) => recoveryMs).sort((a, b) => a - b);
  const of = (percent: number) => percentile(recovery, percent);
  return {
    ok: findings.length === 0,
    seed,
    log,
    survived: counted.length,
    uncounted: records.length - counted.length,
    byKind,
    ...figures,
    recoveryMs: { p50: of(50), p95: of(95), max: of(100) },
    faults: records,
    findings,
  };
}

const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;

export function describeFault(fault: FaultRecord, counted: number): string {
  const { kind, target, open, counts, harmMs, recoveryMs, at } = fault;
  const number = counts ? String(counted) : '–';
  const outcome = `${open} open${counts ? '' : ', too few to count'}, harm ${seconds(harmMs)}, recovered in ${seconds(recoveryMs)}`;
  return `${number.padStart(6)}  ${at.slice(11, 19)}  ${kind.padEnd(16)} ${target}: ${outcome}`;
}

export function describeReport(report: FaultsReport): string {
  const { ok, survived, uncounted, byKind, audits, accepted, rated, retries, restarts, recoveryMs } = report;
  const { seed, log } = report;
  const kinds = Object.entries(byKind)
    .sort(([, a], [, b]) => b - a)
    .map(([kind, count]) => `${kind} ${count}`);
  return [
    `${ok ? 'survived' : 'NOT survived'}: ${survived} faults that counted (${uncounted} more did not), seed ${seed}, log ${log}`,
    `  ${kinds.join(', ')}`,
    `  ${accepted} orders and ${rated} ratings accepted, ${retries} requests repeated, ${restarts} restarts, ${audits} audits at rest`,
    `  time to recover: p50 ${seconds(recoveryMs.p50)}, p95 ${seconds(recoveryMs.p95)}, max ${seconds(recoveryMs.max)}`,
  ].join('\n');
}
