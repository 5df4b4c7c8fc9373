import { delay } from '@tradewind/process/backoff';
import { type Tags, type Trace, type TraceAnswer, type TraceSpan, traceOf } from './jaeger/span.ts';

export type { SpanEvent, SpanKind, SpanLink, Tags, TagValue, Trace, TraceSpan } from './jaeger/span.ts';

export interface Search {
  readonly service: string;
  /** A span's name. */
  readonly operation?: string;
  /** All of them on one span. */
  readonly tags?: Tags;
  /** The newest; 100 when left out. Jaeger refuses more than it keeps. */
  readonly limit?: number;
}

export interface Patience {
  /** 20 s when left out. */
  readonly deadlineMs?: number;
}

/** What Jaeger's API says, the one that its page uses. */
export interface TraceReader {
  /** Undefined as long as Jaeger has no span of it. */
  trace(traceId: string): Promise<Trace | undefined>;
  /**
   * Resolves as soon as `holds` is true of the spans there are; what it throws means not yet. A Jaeger that is away is asked again.
   * Rejects at the deadline, with a drawing of what was there.
   */
  until(
    traceId: string,
    holds: (spans: readonly TraceSpan[]) => boolean,
    patience?: Patience,
  ): Promise<Trace>;
  find(search: Search): Promise<readonly Trace[]>;
  /** Sorted. */
  services(): Promise<readonly string[]>;
}

const ANSWER_MS = 5_000;
const LOOK_MS = 50;
const DEADLINE_MS = 20_000;

/** Reads the Jaeger at `queryUrl`. Its calls reject with what Jaeger said, or how it did not answer. */
export function readTraces(queryUrl: string): TraceReader {
  const traces = async (path: string) => (await ask<TraceAnswer>(queryUrl + path)).map(traceOf);
  const trace = async (traceId: string) => (await traces(`/api/traces/${traceId}`))[0];
  return {
    trace,
    async until(traceId, holds, { deadlineMs = DEADLINE_MS } = {}) {
      const deadline = Date.now() + deadlineMs;
      for (;;) {
        let found: Trace | undefined;
        let reason = '';
        try {
          found = await trace(traceId);
          if (found && holds(found.spans)) return found;
        } catch (error) {
          reason = `${error instanceof Error ? error.message : error}\n`;
        }
        if (Date.now() >= deadline) {
          const there = found ? tree(found) : 'Jaeger gave no span of it';
          throw new Error(`trace ${traceId} is not as awaited after ${deadlineMs} ms:\n${reason}${there}`);
        }
        await delay(LOOK_MS);
      }
    },
    find({ service, operation, tags, limit }) {
      const query = new URLSearchParams({ service });
      if (operation !== undefined) query.set('operation', operation);
      // Jaeger takes texts alone here, and compares them with what each value reads as.
      if (tags)
        query.set(
          'tags',
          JSON.stringify(Object.fromEntries(Object.entries(tags).map(([k, v]) => [k, `${v}`]))),
        );
      if (limit !== undefined) query.set('limit', String(limit));
      return traces(`/api/traces?${query}`);
    },
    services: async () => (await ask<string>(`${queryUrl}/api/services`)).sort(),
  };
}

/** `data` of an answer; empty where Jaeger has nothing. */
async function ask<T>(url: string): Promise<T[]> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) });
  const text = await answer.text();
  if (answer.status === 404 && text.includes('trace not found')) return [];
  if (!answer.ok) throw new Error(`${url} answers ${answer.status}: ${text.trim()}`);
  return (JSON.parse(text) as { data: T[] | null }).data ?? [];
}

/**
 * A trace as indented text, a span a line: `service · name · kind · ms`, children under their parent, by start. Says of a span that it
 * failed, and that its parent is missing.
 * @param options.ms false leaves the times out, for comparison
 */
export function tree({ spans }: Trace, { ms = true }: { readonly ms?: boolean } = {}): string {
  const ids = new Set(spans.map(({ spanId }) => spanId));
  const left = new Set(spans);
  const lines: string[] = [];
  const draw = (span: TraceSpan, depth: number) => {
    // A span that Jaeger got twice is drawn twice, its children once.
    if (!left.delete(span)) return;
    const words = [span.service, span.name, span.kind];
    if (span.error) words.push('error');
    if (span.parentId !== undefined && !ids.has(span.parentId)) words.push('parent missing');
    if (ms) words.push(`${(span.durationUs / 1_000).toFixed(1)} ms`);
    lines.push('  '.repeat(depth) + words.join(' · '));
    for (const child of spans) if (child.parentId === span.spanId) draw(child, depth + 1);
  };
  for (const span of spans) if (span.parentId === undefined || !ids.has(span.parentId)) draw(span, 0);
  // Spans that are their own ancestors hang under nobody.
  for (const span of spans) draw(span, 0);
  return lines.join('\n');
}
