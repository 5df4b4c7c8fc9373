import { createHash } from 'node:crypto';
import {
  create,
  type DescMessage,
  fromBinary,
  fromJsonString,
  type MessageInitShape,
  type MessageShape,
  toJsonString,
} from '@bufbuild/protobuf';
import { createValidator } from '@bufbuild/protovalidate';
import { Code, ConnectError } from '@connectrpc/connect';
import { currentTraceContext, type TraceContext } from '@tradewind/telemetry/trace-context';
import { topicOf } from './contract.ts';
import { type Telling, telling } from './fact-spans.ts';
import type { ReceivedRecord } from './log.ts';
import { uniqueId } from './unique-id.ts';

/**
 * A fact on its way to the log, as a row of the outbox. On the log it is a CloudEvents 1.0 message in Kafka's binary content mode
 * (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md).
 */
export interface Fact {
  /** `ce_id`, a UUID of version 7. */
  readonly id: string;
  readonly topic: string;
  readonly key: string;
  /** `ce_type`: the message's full name. */
  readonly type: string;
  readonly payload: Uint8Array;
  readonly contentType: string;
  /** W3C trace context of its own span, which hangs under whoever told it. */
  readonly traceparent: string | null;
  readonly tracestate: string | null;
  /** Headers besides those of CloudEvents; dead letters have them. */
  readonly headers: Readonly<Record<string, string>> | null;
  readonly span: Telling['span'];
}

/** What is known of an event besides its message. */
export interface EventContext {
  readonly id: string;
  readonly source: string;
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
  readonly record: ReceivedRecord;
}

export const JSON_TYPE = 'application/json';
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });
const validator = createValidator();

/** Half of a surrogate pair as JSON writes it; no reader of protobuf takes that. Behind an even number of backslashes, or it is text. */
const HALF_PAIR = /(?<!\\)(?:\\\\)*\\ud[89a-f]/;

/** Makes a fact of an event's message. Throws when the message breaks its contract: that is a bug of the teller. */
export function factOf<Desc extends DescMessage>(
  schema: Desc,
  init: MessageInitShape<Desc>,
  teller: TraceContext = currentTraceContext(),
): Fact {
  const message = create(schema, init);
  const result = validator.validate(schema, message);
  if (result.kind !== 'valid')
    throw new Error(`${schema.typeName} breaks its contract: ${String(result.error)}`);
  const { name, keyField, lowerCamelCase } = topicOf(schema);
  const text = toJsonString(schema, message, {
    useProtoFieldName: !lowerCamelCase,
    alwaysEmitImplicit: true,
  });
  if (HALF_PAIR.test(text)) throw new Error(`${schema.typeName} has text that is not Unicode`);
  const id = uniqueId();
  const key = String((message as Record<string, unknown>)[keyField]);
  const { span, trace } = telling(name, key, id, teller);
  return {
    id,
    topic: name,
    key,
    type: schema.typeName,
    payload: encoder.encode(text),
    contentType: JSON_TYPE,
    traceparent: trace.traceparent ?? null,
    tracestate: trace.tracestate ?? null,
    headers: null,
    span,
  };
}

/**
 * Reads an event from a record: protobuf JSON with defaults left out, unknown fields and numbers for strings allowed, or binary
 * protobuf when the content type says so.
 * @throws ConnectError INVALID_ARGUMENT that names the field and the rule, and quotes nothing; such a record never gets better.
 */
export function decodeEvent<Desc extends DescMessage>(
  schema: Desc,
  record: ReceivedRecord,
): MessageShape<Desc> {
  const message = parse(schema, record);
  const result = validator.validate(schema, message);
  if (result.kind === 'valid') return message as MessageShape<Desc>;
  const why =
    result.kind === 'invalid'
      ? result.violations.map(({ field, message }) => `${fieldPath(field)}: ${message}`).join('; ')
      : result.error.message;
  throw new ConnectError(why, Code.InvalidArgument);
}

function parse<Desc extends DescMessage>(
  schema: Desc,
  { value, headers }: ReceivedRecord,
): MessageShape<Desc> {
  if (value === null) throw new ConnectError('the record has no value', Code.InvalidArgument);
  try {
    const type = headers['content-type'] ?? headers.ce_datacontenttype ?? JSON_TYPE;
    if (/^application\/(x-)?protobuf\b/.test(type)) return fromBinary(schema, value);
    if (/^application\/(.+\+)?json\b/.test(type)) {
      return fromJsonString(schema, decoder.decode(value), { ignoreUnknownFields: true });
    }
    throw new Error(`content type ${type} is neither JSON nor protobuf`);
  } catch (error) {
    throw new ConnectError(
      unquoted(error instanceof Error ? error.message : String(error)),
      Code.InvalidArgument,
    );
  }
}

/** What a decoder says, but for what it quotes: its words go to logs, and what a record holds may be about somebody. */
function unquoted(words: string): string {
  return words.replace(/".*/s, '"…"');
}

function fieldPath(path: readonly { kind: string }[]): string {
  return path.map((step) => ('name' in step ? String(step.name) : '[]')).join('.') || 'message';
}

/** Text as PostgreSQL can store it: without NUL and without halves of surrogate pairs. */
export function storable(text: string): string {
  return text.replaceAll('\0', '\uFFFD').toWellFormed();
}

/** Longer names would not fit an index; then their hash stands for them. */
const NAME_MAX = 255;
const hashOf = (data: string | Uint8Array) => createHash('sha256').update(data).digest('base64url');
/** A text that names something in an index: itself, or its hash where it is too long or can't be stored. */
export const nameOf = (text: string) =>
  text.length <= NAME_MAX && text === storable(text) ? text : `sha256:${hashOf(text)}`;
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The trace id of a W3C traceparent, 32 hexadecimal digits; undefined when it names no trace. */
export function traceIdOf(traceparent: string | undefined): string | undefined {
  return /^[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-/.exec(traceparent ?? '')?.[1];
}

/**
 * The identity that the inbox remembers. It is the producer's; a record of a producer that knows nothing of CloudEvents gets one from
 * its place in the log and its content.
 */
export function contextOf(record: ReceivedRecord, logId: string): EventContext {
  const { headers, topic, partition, offset } = record;
  const { ce_id: id, ce_source: source, traceparent = '', tracestate } = headers;
  const own = id !== undefined && source !== undefined;
  return {
    id: own
      ? nameOf(id)
      : `${logId}/${topic}/${partition}/${offset}/${hashOf(record.value ?? '').slice(0, 16)}`,
    source: own ? nameOf(source) : 'unknown',
    traceparent: TRACEPARENT.test(traceparent) ? traceparent : undefined,
    tracestate: tracestate === undefined ? undefined : storable(tracestate).slice(0, 512),
    record,
  };
}
