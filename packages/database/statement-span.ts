import { type Attributes, errorType, Span } from '@tradewind/telemetry/span';
import { activeSpanContext, isSampled } from '@tradewind/telemetry/trace-context';

// Names and attributes: https://opentelemetry.io/docs/specs/semconv/database/database-spans/

/** What a statement does and to which table first, as `INSERT outbox`. */
interface Summary {
  readonly operation: string;
  readonly summary: string;
}

const summaries = new Map<string, Summary>();
/** Statements that are put together at run time differ in their number of placeholders. */
const SUMMARIES_MAX = 2_000;
const TEXT_MAX = 1_000;

function summaryOf(text: string): Summary {
  const known = summaries.get(text);
  if (known) return known;
  const operation = (/^\s*(\w+)/.exec(text)?.[1] ?? 'QUERY').toUpperCase();
  const table = /\b(?:into|from|update|join)\s+(?!unnest|\()(?:only\s+)?"?([\w.]+)/i.exec(text)?.[1];
  const made = { operation, summary: table === undefined ? operation : `${operation} ${table}` };
  if (summaries.size < SUMMARIES_MAX) summaries.set(text, made);
  return made;
}

/**
 * Runs a statement in a span of its own, if whoever asks for it is recorded. The span has the statement's text, never its values, and of a failure
 * only SQLSTATE, for the server's words may quote values.
 */
export function inStatementSpan<T>(text: string | undefined, database: string | undefined, run: () => T): T {
  const parent = activeSpanContext();
  if (text === undefined || !parent || !isSampled(parent)) return run();
  const { operation, summary } = summaryOf(text);
  const attributes: Attributes = {
    'db.system.name': 'postgresql',
    'db.operation.name': operation,
    'db.query.summary': summary,
    'db.query.text': text.trim().slice(0, TEXT_MAX),
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
