import type { Stage } from './stage.ts';
import { residentOf, treeUsageOf, usageOf } from './usage.ts';

/** A number for each process, by its name. */
export type ByProcess = Readonly<Record<string, number>>;

/** CPU seconds so far: the services, PostgreSQL with all its processes, `load` and `baseline`. */
export function cpuSeconds({ pids, load, baseline }: Stage): ByProcess {
  const used = Object.entries(pids()).map(([name, pid]) => [
    name,
    (name === 'postgres' ? treeUsageOf(pid) : usageOf(pid)).cpuSeconds,
  ]);
  return {
    ...Object.fromEntries(used),
    load: usageOf(load.pid).cpuSeconds,
    baseline: usageOf(baseline.pid).cpuSeconds,
  };
}

/** What was used between, for 1,000 of so many. */
export function per1000(before: ByProcess, after: ByProcess, count: number): ByProcess {
  return Object.fromEntries(
    Object.entries(after).map(([name, seconds]) => [name, ((seconds - (before[name] ?? 0)) / count) * 1_000]),
  );
}

/** Memory in MiB: resident, but of PostgreSQL each process's part of what its processes share. */
export function residents({ pids }: Pick<Stage, 'pids'>, which: 'now' | 'peak'): ByProcess {
  return Object.fromEntries(
    Object.entries(pids()).map(([name, pid]) => [
      name,
      name === 'postgres' ? treeUsageOf(pid).memory : residentOf(pid)[which],
    ]),
  );
}

export function larger(a: ByProcess, b: ByProcess): ByProcess {
  return Object.fromEntries(Object.entries(b).map(([name, value]) => [name, Math.max(value, a[name] ?? 0)]));
}

export function total(values: ByProcess): number {
  return Object.values(values).reduce((sum, value) => sum + value, 0);
}
