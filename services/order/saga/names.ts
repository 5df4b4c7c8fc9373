/** The name of an enumeration's value, `DEAD_LETTERED`; of one that a newer service knows, `UNKNOWN`. */
export function nameIn(values: Readonly<Record<string, number>>, value: number): string {
  return Object.entries(values).find(([, known]) => known === value)?.[0] ?? 'UNKNOWN';
}
