import type { TraceSpan } from '@tradewind/testing/jaeger-traces';

export interface ShapeOptions {
  /** Statements are many; without them the hops remain. */
  readonly statements?: boolean;
}

/**
 * A trace as indented text, `service · name · kind`, with what failed marked. Children of one parent by name: the clocks of processes and of the
 * log are only so exact.
 */
export function shape(spans: readonly TraceSpan[], { statements = false }: ShapeOptions = {}): string {
  const shown = statements ? spans : spans.filter(({ tags }) => tags['db.system.name'] === undefined);
  const ids = new Set(shown.map(({ spanId }) => spanId));
  const lines: string[] = [];
  const draw = (parent: string | undefined, depth: number) => {
    const children = shown.filter(({ parentId }) =>
      parent === undefined ? parentId === undefined || !ids.has(parentId) : parentId === parent,
    );
    const named = children.map((span) => ({ span, line: lineOf(span) }));
    for (const { span, line } of named.sort(
      (a, b) => a.line.localeCompare(b.line) || a.span.startUs - b.span.startUs,
    )) {
      lines.push('  '.repeat(depth) + line);
      draw(span.spanId, depth + 1);
    }
  };
  draw(undefined, 0);
  return lines.join('\n');
}

function lineOf({ service, name, kind, error, events }: TraceSpan): string {
  const said = events.map((event) => event.name);
  return [
    service,
    name,
    kind,
    ...(error ? ['error'] : []),
    ...(said.length > 0 ? [said.join(', ')] : []),
  ].join(' · ');
}

/** Text without the margin of the code that it stands in. */
export function text(block: string): string {
  const lines = block.split('\n').filter((line) => line.trim() !== '');
  const margin = Math.min(...lines.map((line) => line.search(/\S/)));
  return lines.map((line) => line.slice(margin)).join('\n');
}
