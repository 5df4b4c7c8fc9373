import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EventLog } from '@tradewind/messaging/log';
import { partitionOf } from '@tradewind/messaging/partition';
import { runExample, runJavaKeys } from './programs.ts';

const PARTITIONS = 12;
const HOUR_MS = 3_600_000;
const encoder = new TextEncoder();

/** Keys of every length modulo four, of bytes above 127, of several scripts, and one that is empty. */
const KEYS = [
  '1',
  '',
  '42',
  '2147483647',
  'c-7',
  'abcd',
  'æøå',
  'Füße',
  'ключ',
  '鍵',
  '🔑',
  '🔑🔑',
  'a b\tc',
  '"quoted"',
  ...Array.from({ length: 100 }, (_, index) => `${'key'.repeat(index % 5)}${index}`),
  ...Array.from({ length: 100 }, () => randomUUID()),
];

/**
 * Puts the same keys by the producers of TypeScript, Go, Python and Java, reads the topic back, and compares where each key lies.
 * @returns what was compared, for people
 * @throws Error that names the keys that lie elsewhere
 */
export async function comparePartitions(log: EventLog, servers: string): Promise<string> {
  const topic = `examples.partitions-${randomUUID()}`;
  await log.createTopics([{ name: topic, partitions: PARTITIONS, retentionMs: HOUR_MS }]);
  const folder = await mkdtemp(join(tmpdir(), 'tradewind-keys-'));
  try {
    const file = join(folder, 'keys.txt');
    await writeFile(file, KEYS.join('\n'));
    await append(log, topic);
    await runExample('go', [servers, 'keys', topic, file]);
    await runExample('python', [servers, 'keys', topic, file]);
    await runJavaKeys(servers, topic, file);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const placed = await read(log, topic);
  const wrong = ['typescript', 'go', 'python', 'java'].flatMap((producer) => {
    const places = placed.get(producer) ?? new Map<string, number>();
    return KEYS.filter((key) => places.get(key) !== partitionOf(key, PARTITIONS)).map(
      (key) =>
        `${producer}: ${JSON.stringify(key)} lies in ${places.get(key)}, not ${partitionOf(key, PARTITIONS)}`,
    );
  });
  if (wrong.length > 0) throw new Error(wrong.slice(0, 20).join('\n'));
  const used = new Set([...(placed.get('java')?.values() ?? [])]).size;
  return `${KEYS.length} keys lie in the same of ${PARTITIONS} partitions (${used} used) from TypeScript, Go, Python and Java`;
}

async function append(log: EventLog, topic: string): Promise<void> {
  await using producer = await log.producer();
  const headers = { producer: 'typescript' };
  await producer.append(KEYS.map((key) => ({ topic, key, value: encoder.encode('{}'), headers })));
}

/** By producer: the partition of each key. */
async function read(log: EventLog, topic: string): Promise<Map<string, Map<string, number>>> {
  const placed = new Map<string, Map<string, number>>();
  for (const { partition, start, end } of await log.bounds(topic)) {
    for (let offset = start; offset < end; ) {
      const records = await log.read({ topic, partition, offset }, 1_000);
      for (const { key, headers } of records) {
        const places = placed.get(headers.producer ?? '') ?? new Map<string, number>();
        if (key === null) throw new Error(`${headers.producer} put a record without a key`);
        places.set(key, partition);
        placed.set(headers.producer ?? '', places);
      }
      const last = records.at(-1);
      if (last === undefined) break;
      offset = last.offset + 1n;
    }
  }
  return placed;
}
