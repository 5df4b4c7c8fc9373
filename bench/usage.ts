import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

/** What a process, or a group of them, has used. */
export interface Usage {
  /** Seconds since it began, user and system. */
  readonly cpuSeconds: number;
  /** Memory that is its own plus its part of what it shares, now: MiB. */
  readonly memory: number;
}

/** Whether this platform tells what processes use. */
export const measurable = process.platform === 'linux';

/** USER_HZ, which is 100 wherever Linux runs Node. */
const TICKS = 100;

/** A process alone. */
export function usageOf(pid: number): Usage {
  return { cpuSeconds: cpuTicks(pid).own / TICKS, memory: proportional(pid) };
}

/** A process with its children, those that have ended included: PostgreSQL. */
export function treeUsageOf(pid: number): Usage {
  const root = cpuTicks(pid);
  const children = childrenOf(pid);
  const ticks = children.reduce((sum, child) => sum + cpuTicks(child).own, root.own + root.reaped);
  return {
    cpuSeconds: ticks / TICKS,
    memory: children.reduce((sum, child) => sum + proportional(child), proportional(pid)),
  };
}

/** Resident memory of a process, now and the most since it was last forgotten: MiB. */
export function residentOf(pid: number): { now: number; peak: number } {
  const status = read(`/proc/${pid}/status`);
  const of = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0) / 1024;
  return { now: of('VmRSS'), peak: of('VmHWM') };
}

/** Forgets the peak so far, where the system lets us. */
export function forgetPeak(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
  } catch {
    // Then the peak is that since the process began.
  }
}

function cpuTicks(pid: number): { own: number; reaped: number } {
  // The name, in parentheses, may hold anything; what follows is numbers.
  const fields = read(`/proc/${pid}/stat`).split(') ').at(-1)?.split(' ') ?? [];
  const at = (n: number) => Number(fields[n] ?? 0);
  return { own: at(11) + at(12), reaped: at(13) + at(14) };
}

function proportional(pid: number): number {
  return Number(/^Pss:\s+(\d+)/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0) / 1024;
}

function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((child) => Number(read(`/proc/${child}/stat`).split(') ').at(-1)?.split(' ')[1]) === pid);
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
