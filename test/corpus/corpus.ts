import { readdirSync, readFileSync } from 'node:fs';
import { type DescMessage, type JsonObject, type Message, toJson } from '@bufbuild/protobuf';
import type { ReceivedRecord } from '@tradewind/messaging/log';

/** One recorded event: what lay on the log, byte for byte, and what it means. */
export interface Recorded {
  /** In which way it is special. */
  readonly about: string;
  readonly key: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The record's value; one of both. */
  readonly text?: string;
  readonly base64?: string;
  /** Every field as the contract of its time had it, so that a renamed field is not taken for an unknown one. */
  readonly means: JsonObject;
}

const root = new URL('./', import.meta.url);

/** Versions that there is a corpus of, oldest first. */
export function versions(): string[] {
  return readdirSync(root)
    .filter((name) => /^v\d+$/.test(name))
    .toSorted((a, b) => Number(a.slice(1)) - Number(b.slice(1)));
}

/** The topics of a version, each with what was recorded of it. */
export function corpusOf(version: string): Map<string, readonly Recorded[]> {
  const files = readdirSync(new URL(`${version}/`, root)).filter((name) => name.endsWith('.json'));
  return new Map(
    files.map((name) => [
      name.replace(/\.json$/, ''),
      JSON.parse(readFileSync(new URL(`${version}/${name}`, root), 'utf8')),
    ]),
  );
}

export function bytesOf({ text, base64 }: Pick<Recorded, 'text' | 'base64'>): Uint8Array {
  return text === undefined ? Buffer.from(base64 ?? '', 'base64') : Buffer.from(text);
}

/** The record as a consumer receives it. */
export function received(topic: string, recorded: Omit<Recorded, 'means'>): ReceivedRecord {
  const { key, headers } = recorded;
  return { topic, partition: 0, offset: 0n, appendedAt: new Date(), key, headers, value: bytesOf(recorded) };
}

export function meaning(schema: DescMessage, message: Message): JsonObject {
  return toJson(schema, message, { useProtoFieldName: true, alwaysEmitImplicit: true }) as JsonObject;
}
