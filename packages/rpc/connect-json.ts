import { type DescField, type DescMessage, fromJsonString, type JsonReadOptions } from '@bufbuild/protobuf';
import { type FieldViolation, problem, undecodable } from './failure.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Options for Connect's JSON of one request type. Its own decoder ignores names of enums that it does not know, which
 * would make a filter that nobody knows no filter at all, and does not say which field is wrong: so each request is decoded here first.
 */
export function jsonOptionsOf(
  input: DescMessage,
): Partial<JsonReadOptions> & { textDecoder: { decode(bytes: Uint8Array): string } } {
  return {
    textDecoder: {
      decode(bytes) {
        const text = utf8Text(bytes);
        try {
          fromJsonString(input, text);
        } catch {
          explain(input, text);
        }
        return text;
      },
    },
  };
}

function utf8Text(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw undecodable(new Error('the request is not UTF-8'));
  }
}

/** @throws ConnectError INVALID_ARGUMENT unless fields that nobody knows are all that is wrong */
function explain(input: DescMessage, text: string): void {
  try {
    fromJsonString(input, text, { ignoreUnknownFields: true });
  } catch (error) {
    throw undecodable(error);
  }
  const unknown = unknownEnum(input, JSON.parse(text), '');
  if (unknown) throw problem(unknown.field, unknown.error);
}

function unknownEnum(schema: DescMessage, json: unknown, path: string): FieldViolation | undefined {
  if (typeof json !== 'object' || json === null) return undefined;
  const values = json as Readonly<Record<string, unknown>>;
  for (const field of schema.fields) {
    if (!field.enum && !field.message) continue;
    for (const [at, value] of valuesOf(field, values[field.jsonName] ?? values[field.name])) {
      const place = `${path}${field.name}${at}`;
      if (field.message) {
        const found = unknownEnum(field.message, value, `${place}.`);
        if (found) return found;
      } else if (typeof value === 'string' && !hasName(field, value)) {
        return {
          field: place,
          error: `${JSON.stringify(value.slice(0, 100))} is no ${field.enum?.typeName}`,
        };
      }
    }
  }
  return undefined;
}

function valuesOf(field: DescField, value: unknown): [string, unknown][] {
  if (value === undefined || value === null) return [];
  if (field.fieldKind === 'list') return (value as unknown[]).map((each, index) => [`[${index}]`, each]);
  if (field.fieldKind !== 'map') return [['', value]];
  return Object.entries(value).map(([key, each]) => [`[${JSON.stringify(key)}]`, each]);
}

function hasName(field: DescField, value: string): boolean {
  return field.enum?.values.some(({ name, jsonName }) => name === value || jsonName === value) ?? true;
}
