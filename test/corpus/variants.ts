import {
  clearField,
  type DescMessage,
  isMessage,
  type JsonValue,
  type Message,
  toBinary,
  toJson,
  toJsonString,
} from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { decodeEvent } from '@tradewind/messaging/event';
import type { ReceivedRecord } from '@tradewind/messaging/log';
import { meaning, type Recorded, received } from './corpus.ts';

type Value = Pick<Recorded, 'text' | 'base64'>;
type Variant = (schema: DescMessage, message: Message, record: ReceivedRecord) => Partial<Recorded> & Value;

const base64 = (bytes: Uint8Array): Value => ({ base64: Buffer.from(bytes).toString('base64') });
const text = (json: JsonValue): Value => ({ text: JSON.stringify(json) });
const complete = (schema: DescMessage, message: Message) => meaning(schema, message);

/** What producers of this contract may write, each from an event that a service told. */
const variants: Readonly<Record<string, Variant>> = {
  'as the service told it': (_schema, _message, { value }) => ({ text: Buffer.from(value ?? []).toString() }),
  'defaults left out': (schema, message) => ({
    text: toJsonString(schema, message, { useProtoFieldName: true }),
  }),
  'names in lowerCamelCase': (schema, message) => ({ text: toJsonString(schema, message) }),
  'numbers for strings': (schema, message) => text(numbers(complete(schema, message))),
  'unknown fields, at every level': (schema, message) => text(withStranger(complete(schema, message))),
  'no headers at all': (schema, message) => ({ ...text(complete(schema, message)), headers: {} }),
  'another content type for JSON': (schema, message, { headers }) => ({
    ...text(complete(schema, message)),
    headers: { ...headers, 'content-type': 'application/cloudevents+json; charset=utf-8' },
  }),
  'binary protobuf': (schema, message, { headers }) => ({
    ...base64(toBinary(schema, message)),
    headers: { ...headers, 'content-type': 'application/protobuf' },
  }),
  'binary protobuf with an unknown field': (schema, message, { headers }) => ({
    ...base64(Buffer.concat([toBinary(schema, message), stranger()])),
    headers: { ...headers, 'content-type': 'application/x-protobuf' },
  }),
  'as little as its rules allow': (schema, message, record) => {
    minimize(schema, message, record);
    return { text: toJsonString(schema, message, { useProtoFieldName: true }) };
  },
};

/** What the contract of one event promises besides, as written by somebody who knows nothing else of it. */
const promised: Readonly<Record<string, Readonly<Record<string, Variant>>>> = {
  [RatedSchema.typeName]: {
    'as anybody may tell it': () => ({
      key: 'flight-of-the-gopher',
      headers: {},
      text: '{"talkId":"flight-of-the-gopher","value":5}',
    }),
  },
};

/** How many events of a topic it takes to record all of it: each variant gets one of its own. */
export const VARIANTS = Object.keys(variants).length;

/** The corpus of one topic. */
export function corpus(schema: DescMessage, told: readonly ReceivedRecord[]): Recorded[] {
  const all = { ...variants, ...promised[schema.typeName] };
  return Object.entries(all).map(([about, variant], n) => {
    const record = told[n % VARIANTS];
    if (!record) throw new Error(`only ${told.length} events of ${schema.typeName} were told`);
    const message = decodeEvent(schema, record);
    const made = {
      about,
      key: record.key ?? '',
      headers: record.headers,
      ...variant(schema, message, record),
    };
    // Of what can't be decoded nothing is recorded.
    return { ...made, means: meaning(schema, decodeEvent(schema, received(record.topic, made))) };
  });
}

/** Where a 64-bit number is in quotes it may stand without. */
function numbers(json: JsonValue): JsonValue {
  if (Array.isArray(json)) return json.map(numbers);
  if (typeof json === 'object' && json !== null)
    return Object.fromEntries(Object.entries(json).map(([name, value]) => [name, numbers(value)]));
  return typeof json === 'string' && /^-?\d{1,15}$/.test(json) ? Number(json) : json;
}

function withStranger(json: JsonValue): JsonValue {
  if (Array.isArray(json)) return json.map(withStranger);
  if (typeof json !== 'object' || json === null) return json;
  const known = Object.entries(json).map(([name, value]) => [name, withStranger(value)] as const);
  return { ...Object.fromEntries(known), of_a_later_version: { why: ['not known yet', 1, null] } };
}

function stranger(): Uint8Array {
  return new BinaryWriter().tag(1_000, WireType.LengthDelimited).string('not known yet').finish();
}

/** Clears every field that the event is accepted without. */
function minimize(schema: DescMessage, event: Message, record: ReceivedRecord): void {
  const accepted = () => {
    try {
      const { 'content-type': _, ...headers } = record.headers;
      decodeEvent(schema, { ...record, headers, value: Buffer.from(JSON.stringify(toJson(schema, event))) });
      return true;
    } catch {
      return false;
    }
  };
  const clear = (desc: DescMessage, message: Message): void => {
    const fields = message as unknown as Record<string, unknown>;
    for (const field of desc.fields) {
      const { localName } = field;
      // The name of a thing is no field that can be left out, even where zero would pass.
      const before = fields[localName];
      const key = (record.key ?? '') === String(before);
      if (before === undefined || key) continue;
      clearField(message as never, field as never);
      if (accepted()) continue;
      fields[localName] = before;
      if (field.fieldKind !== 'list' || !Array.isArray(before)) continue;
      before.splice(1);
      for (const item of before) if (isMessage(item) && field.message) clear(field.message, item);
    }
  };
  clear(schema, event);
}
