import { readFile } from 'node:fs/promises';
import { text as textOf } from 'node:stream/consumers';
import { fromJsonString } from '@bufbuild/protobuf';
import { topicOf } from '@tradewind/messaging/contract';
import type { Correction } from '@tradewind/messaging/dead-letter';
import type { DeadLetter } from '@tradewind/messaging/dead-letters';
import { decodeEvent, JSON_TYPE } from '@tradewind/messaging/event';
import { reasonOf } from '@tradewind/process/wait-for';
import { contractOf } from './groups.ts';

/** Where the new payload comes from: the command line, a file, or standard input. */
export type Source = { readonly value: string } | { readonly file: string };

/** The new payload as text. @throws Error when the file can't be read */
export async function readCorrection(source: Source): Promise<string> {
  if ('value' in source) return source.value;
  return source.file === '-' ? await textOf(process.stdin) : await readFile(source.file, 'utf8');
}

/**
 * A payload that fits the contract of the letter's topic.
 * @param warn told of what fits, but hardly as it was meant
 * @throws Error that names the field and the rule when it does not fit
 */
export function correctionOf(letter: DeadLetter, text: string, warn: (line: string) => void): Correction {
  const { topic } = letter.origin;
  const schema = contractOf(topic);
  if (!schema) throw new Error(`no contract names ${topic}, so nobody can say what its payload should be`);
  const value = Buffer.from(text);
  const { place, appendedAt, key } = letter;
  const record = { ...place, topic, appendedAt, key, value, headers: { 'content-type': JSON_TYPE } };
  let message: ReturnType<typeof decodeEvent>;
  try {
    message = decodeEvent(schema, record);
  } catch (error) {
    const why = error instanceof Error && 'rawMessage' in error ? String(error.rawMessage) : reasonOf(error);
    throw new Error(`the new payload does not fit ${topic} (${schema.typeName}): ${why}`, { cause: error });
  }
  try {
    fromJsonString(schema, text);
  } catch (error) {
    // Whoever consumes it ignores such a field, so a misspelt name would go unseen.
    warn(`taken as it is, though: ${reasonOf(error)}`);
  }
  // A rating need not name its subject: then it stays in its line.
  const its = String((message as unknown as Record<string, unknown>)[topicOf(schema).keyField]) || letter.key;
  if (its !== null && its !== letter.key)
    warn(
      `the letter's key was ${JSON.stringify(letter.key ?? '')}; by its new payload it is ${JSON.stringify(its)}`,
    );
  return { value, key: its ?? '' };
}
