/** Milliseconds since 1970 with fractions, as of the machine's clock when this was called; it never steps. */
export function wallClock(): () => number {
  let tick = Date.now();
  const before = tick;
  // Date.now() has whole milliseconds: the moment at which it turns is known exactly.
  while (tick === before) tick = Date.now();
  const offset = tick - performance.now();
  return () => offset + performance.now();
}

/** The nearest-rank percentile of ascending numbers; 0 of none. */
export function percentile(ascending: readonly number[], percent: number): number {
  const rank = Math.max(1, Math.ceil((percent / 100) * ascending.length));
  return ascending[rank - 1] ?? 0;
}
