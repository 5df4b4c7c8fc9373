/** What the tests of the log are made of. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, vi } from 'vitest';
import type { Consumer, EventLog, LogRecord, Position, ReceivedRecord, TopicPartition } from '../../log.ts';
import { partitionOf } from '../../partition.ts';
import type { MemberOptions, MemberReport } from '../log-member.ts';

/** How long a test waits for anything that should come at once. */
export const SOON_MS = 10_000;

/** A name that no other test has. */
export function unique(prefix: string): string {
  return `${prefix}-${randomUUID().slice(0, 13)}`;
}

export async function newTopic(log: EventLog, partitions: number): Promise<string> {
  const name = unique('topic');
  await log.createTopics([{ name, partitions, retentionMs: null }]);
  return name;
}

export function record(topic: string, key: string | null, text: string): LogRecord {
  return { topic, key, value: Buffer.from(text), headers: {} };
}

export function text({ value }: { readonly value: Uint8Array | null }): string {
  return Buffer.from(value ?? []).toString();
}

/** A key that lands on the partition. */
export function keyFor(partition: number, partitions: number): string {
  for (let i = 0; ; i++) if (partitionOf(`key-${i}`, partitions) === partition) return `key-${i}`;
}

export async function append(log: EventLog, records: readonly LogRecord[]): Promise<Position[]> {
  await using producer = await log.producer();
  return producer.append(records);
}

/** Receives until there are `count` records. Fails when they do not come in time. */
export async function receive(
  consumer: Consumer,
  count: number,
  withinMs = SOON_MS,
): Promise<ReceivedRecord[]> {
  const signal = AbortSignal.timeout(withinMs);
  const records: ReceivedRecord[] = [];
  while (records.length < count) {
    const some = await consumer.receive(signal);
    if (some.length === 0)
      throw new Error(`${records.length} of ${count} records came within ${withinMs} ms`);
    records.push(...some);
  }
  return records;
}

/** The positions behind the records, one for each partition. */
export function behind(records: readonly ReceivedRecord[]): Position[] {
  const ends = new Map<string, Position>();
  for (const { topic, partition, offset } of records)
    ends.set(`${topic}/${partition}`, { topic, partition, offset: offset + 1n });
  return [...ends.values()];
}

/** Waits until the assertion holds. */
export async function eventually(withinMs: number, assertion: () => void | Promise<void>): Promise<void> {
  await vi.waitFor(assertion, { timeout: withinMs, interval: 10 });
}

/** Positions and partitions by name, to be compared. */
export function names(partitions: readonly TopicPartition[]): string[] {
  return partitions.map(({ topic, partition }) => `${topic}/${partition}`).sort();
}

/**
 * Waits until the members share all partitions of the topics: each has one owner and none has more than a fair part. Members that hold
 * nothing in hand only, or it takes the adapter's handover time.
 */
export async function shared(
  members: readonly Consumer[],
  partitions: number,
  withinMs: number,
): Promise<void> {
  const fair = members.map(
    (_, i) => Math.floor(partitions / members.length) + (i < partitions % members.length ? 1 : 0),
  );
  await eventually(withinMs, () => {
    expect(members.map((member) => member.assignment().length).sort()).toEqual(fair.sort());
    expect(new Set(members.flatMap((member) => names(member.assignment()))).size).toBe(partitions);
  });
}

/** A member in a process of its own. */
export class ChildMember implements AsyncDisposable {
  readonly received: { partition: number; offset: string; key: string | null }[] = [];
  joined = false;
  /** How many partitions its commit was refused for; undefined while it has not committed. */
  refused: number | undefined;
  #errors = '';
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;

  constructor(options: MemberOptions) {
    const file = fileURLToPath(new URL('../log-member.ts', import.meta.url));
    const child = spawn(process.execPath, [file, JSON.stringify(options)], {
      stdio: 'pipe',
    });
    this.#child = child;
    this.#exited = new Promise((resolve) => {
      child.on('exit', () => resolve());
      child.on('error', () => resolve());
    });
    child.stderr.on('data', (chunk) => {
      this.#errors += chunk;
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      const report: MemberReport = JSON.parse(line);
      if ('joined' in report) this.joined = true;
      else if ('refused' in report) this.refused = report.refused;
      else this.received.push(...report.received);
    });
  }

  /** Waits until it has received `count` different records. */
  async has(count: number, withinMs: number): Promise<void> {
    await eventually(withinMs, () => {
      expect(this.#errors).toBe('');
      expect(new Set(this.received.map(({ partition, offset }) => `${partition}:${offset}`)).size).toBe(
        count,
      );
    });
  }

  /** Makes it stand still, as a machine that sleeps. */
  stop(): void {
    this.#child.kill('SIGSTOP');
  }

  /** Lets it go on, and commit what it has in hand before it knows what happened. */
  goOnAndCommit(): void {
    this.#child.stdin?.write('commit\n');
    this.#child.kill('SIGCONT');
  }

  /** Ends it as a power cut would. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}
