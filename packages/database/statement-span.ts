import { type Attributes, errorType, Span } from '@tradewind/telemetry/span';
import { activeSpanContext, isSampled } from '@tradewind/telemetry/trace-context';
import { tracing } from '@tradewind/telemetry/tracer';

// Names and attributes: https://opentelemetry.io/docs/specs/semconv/database/database-spans/

/** What a statement does and to which table first, as `INSERT outbox`. */
interface Summary {
  readonly operation: string;
  readonly summary: string;
}

const TEXT_MAX = 1_000;
const HEAD = 2_000;
/** The first table that is written or read; a name before a parenthesis is a function's, as in `extract(epoch FROM now())`. */
const TABLE = /\b(?:into|update)\s+"?([\w.]+)|\b(?:from|join)\s+(?:only\s+)?"?([\w.]+)\b(?!\s*\()/i;
const summaries = new Map<string, Summary>();

/** @param declared a statement of our own, which there are only so many of */
function summaryOf(text: string, declared: boolean): Summary {
  const known = declared ? summaries.get(text) : undefined;
  if (known) return known;
  // Far enough for the table; behind it may be values.
  const head = text.slice(0, HEAD);
  const operation = (/^\s*(\w+)/.exec(head)?.[1] ?? 'QUERY').toUpperCase();
  const [, written, read] = TABLE.exec(declared ? text : head) ?? [];
  const table = written ?? read;
  const made = { operation, summary: table === undefined ? operation : `${operation} ${table}` };
  if (declared) summaries.set(text, made);
  return made;
}

export interface Asked {
  readonly text: string | undefined;
  /** Whether the text is a statement of our own. The ORM's may have values written into them. */
  readonly declared: boolean;
  readonly database: string | undefined;
}

/**
 * Runs a statement in a span of its own, if whoever asks for it is recorded. The span has the text of a statement that was declared, never values, and
 * of a failure only SQLSTATE, for the server's words may quote values.
 */
export function inStatementSpan<T>({ text, declared, database }: Asked, run: () => T): T {
  const parent = activeSpanContext();
  if (text === undefined || !parent || !isSampled(parent) || !tracing()?.exports) return run();
  const { operation, summary } = summaryOf(text, declared);
  const attributes: Attributes = {
    'db.system.name': 'postgresql',
    'db.operation.name': operation,
    'db.query.summary': summary,
    ...(declared && { 'db.query.text': text.trim().slice(0, TEXT_MAX) }),
    ...(database !== undefined && { 'db.namespace': database }),
  };
  const span = new Span(summary, { scope: 'database', kind: 'client', parent, attributes });
  const result = run();
  if (!(result instanceof Promise)) {
    span.end();
    return result;
  }
  result.then(
    () => span.end(),
    (error: unknown) => {
      span.failed(errorType(error));
      span.end();
    },
  );
  return result;
}
