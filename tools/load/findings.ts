/** More of one kind of finding than this is only counted. */
const named = 20;

/** Findings of one kind, for people: their number, and the first of them. */
export function findings(title: string, items: readonly string[]): string[] {
  if (items.length === 0) return [];
  const shown = items.slice(0, named).map((item) => `    ${item}`);
  const rest = items.length > named ? [`    … and ${items.length - named} more (--json has all)`] : [];
  return [`  ${title} (${items.length}):`, ...shown, ...rest];
}
