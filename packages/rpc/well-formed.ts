import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';

/** Gives the path (`lines[0].note`) of the first text that is no Unicode, half a surrogate pair in it; undefined if there is none. */
export type FindBroken = (message: unknown) => string | undefined;

type Values = Readonly<Record<string, unknown>>;

/** Compiles the search for text that can't be encoded; undefined for a message that holds no text at all. */
export function compileFindBroken(
  schema: DescMessage,
  known = new Map<DescMessage, FindBroken>(),
): FindBroken | undefined {
  const before = known.get(schema);
  if (before !== undefined) return before;
  const finds: FindBroken[] = [];
  const find: FindBroken = (message) => firstOf(finds, message);
  // A message may hold itself.
  known.set(schema, find);
  for (const field of schema.fields) {
    const each = findIn(field, known);
    if (each !== undefined) finds.push(each);
  }
  return finds.length === 0 ? undefined : find;
}

function firstOf(finds: readonly FindBroken[], message: unknown): string | undefined {
  // Wrapped text (google.protobuf.StringValue) is plain text here.
  if (typeof message === 'string') return brokenText(message);
  if (typeof message !== 'object' || message === null) return undefined;
  for (const find of finds) {
    const path = find(message);
    if (path !== undefined) return path;
  }
  return undefined;
}

const brokenText: FindBroken = (text) => (typeof text === 'string' && !text.isWellFormed() ? '' : undefined);

function findIn(field: DescField, known: Map<DescMessage, FindBroken>): FindBroken | undefined {
  const find = findInValue(field, known);
  const { name } = field;
  if (field.fieldKind === 'map') {
    if (find === undefined && field.mapKey !== ScalarType.STRING) return undefined;
    return (message) => inMap(name, read(field, message), find ?? (() => undefined));
  }
  if (find === undefined) return undefined;
  if (field.fieldKind === 'list') return (message) => inList(name, read(field, message), find);
  return (message) => {
    const path = find(read(field, message));
    return path === undefined ? undefined : join(name, path);
  };
}

function findInValue(field: DescField, known: Map<DescMessage, FindBroken>): FindBroken | undefined {
  if (field.message) return compileFindBroken(field.message, known);
  return field.scalar === ScalarType.STRING ? brokenText : undefined;
}

function read({ localName, oneof }: DescField, message: unknown): unknown {
  if (oneof === undefined) return (message as Values)[localName];
  const chosen = (message as Values)[oneof.localName] as { case?: string; value?: unknown } | undefined;
  return chosen?.case === localName ? chosen.value : undefined;
}

function inList(name: string, items: unknown, find: FindBroken): string | undefined {
  if (!Array.isArray(items)) return undefined;
  for (let index = 0; index < items.length; index += 1) {
    const path = find(items[index]);
    if (path !== undefined) return join(`${name}[${index}]`, path);
  }
  return undefined;
}

function inMap(name: string, entries: unknown, find: FindBroken): string | undefined {
  for (const [key, value] of Object.entries(entries ?? {})) {
    if (!key.isWellFormed()) return name;
    const path = find(value);
    if (path !== undefined) return join(`${name}[${JSON.stringify(key)}]`, path);
  }
  return undefined;
}

function join(name: string, path: string): string {
  return path === '' ? name : `${name}.${path}`;
}
