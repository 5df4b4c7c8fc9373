import type { SentFact } from './fact-spans.ts';
import type { LogRecord } from './log.ts';

/** A row of the outbox as the relay reads it. */
export interface OutboxRow {
  readonly position: string;
  readonly id: string;
  readonly aggregatetype: string;
  readonly aggregateid: string;
  readonly type: string;
  readonly payload: Buffer | null;
  readonly source: string;
  readonly content_type: string;
  readonly traceparent: string | null;
  readonly tracestate: string | null;
  readonly headers: Record<string, string> | null;
  readonly created_at: Date;
}

/** The CloudEvents record of an outbox row, in Kafka's binary content mode. */
export function recordOf(row: OutboxRow): LogRecord {
  const headers: Record<string, string> = {
    ce_specversion: '1.0',
    ce_id: row.id,
    ce_type: row.type,
    ce_source: row.source,
    ce_time: row.created_at.toISOString(),
    ce_subject: row.aggregateid,
    'content-type': row.content_type,
  };
  if (row.traceparent) headers.traceparent = row.traceparent;
  if (row.tracestate) headers.tracestate = row.tracestate;
  // A dead letter keeps the headers of the record that it was, its id and type among them.
  return {
    topic: row.aggregatetype,
    key: row.aggregateid === '' ? null : row.aggregateid,
    value: row.payload,
    headers: row.headers ? { ...headers, ...row.headers } : headers,
  };
}

/** The fact as its span tells of it. */
export function factIn(row: OutboxRow): SentFact {
  const { id, aggregatetype: topic, aggregateid: key, created_at: writtenAt } = row;
  const trace = { traceparent: row.traceparent ?? undefined, tracestate: row.tracestate ?? undefined };
  return { id, topic, key, writtenAt, trace };
}
