import { Code, ConnectError } from '@connectrpc/connect';
import type { LogRecord, Position, Producer } from '../log.ts';
import { partitionOf } from '../partition.ts';
import { APPEND, appendBatch, type Placed } from './append.ts';
import type { Bell } from './bell.ts';
import { type Database, isPassing } from './database.ts';
import { partitionKey, type Topics } from './topics.ts';

/** The most that one statement appends, unless one caller wants more: appends share a commit up to here. */
const RECORDS_MAX = 5_000;
const BYTES_MAX = 16 * 1024 * 1024;

interface Waiting {
  readonly records: readonly Placed[];
  readonly bytes: number;
  readonly resolve: (positions: Position[]) => void;
  readonly reject: (reason: unknown) => void;
}

/** Appends with one statement at a time. Appends that arrive meanwhile share the next one, and so its commit. */
export class PostgresProducer implements Producer {
  readonly #database: Database;
  readonly #topics: Topics;
  readonly #bell: Bell;
  readonly #onClose: (producer: AsyncDisposable) => void;
  readonly #queue: Waiting[] = [];
  #running: Promise<void> | undefined;
  #closed = false;
  #turn = 0;

  constructor(database: Database, topics: Topics, bell: Bell, onClose: (producer: AsyncDisposable) => void) {
    this.#onClose = onClose;
    this.#database = database;
    this.#topics = topics;
    this.#bell = bell;
  }

  async append(records: readonly LogRecord[]): Promise<Position[]> {
    if (this.#closed) throw new ConnectError('the producer is closed', Code.FailedPrecondition);
    if (records.length === 0) return [];
    if (records.some(({ topic }) => !this.#topics.known(topic)))
      await this.#topics.find(records.map(({ topic }) => topic));
    const parts = cut(this.#place(records));
    // One after the other, so that a key's records are in order; an append of usual size is one part.
    const positions: Position[] = [];
    for (const part of parts) for (const position of await this.#enqueue(part)) positions.push(position);
    return positions;
  }

  /** Records without a key go to one partition an append, each append to the next. */
  #place(records: readonly LogRecord[]): Placed[] {
    const turn = this.#turn++;
    return records.map((record) => {
      const topic = this.#topics.known(record.topic);
      if (!topic) throw new ConnectError(`there is no topic ${record.topic}`, Code.NotFound);
      const partition =
        record.key === null ? turn % topic.partitions : partitionOf(record.key, topic.partitions);
      return { record, topicId: topic.id, partition };
    });
  }

  #enqueue(records: readonly Placed[]): Promise<Position[]> {
    const { promise, resolve, reject } = Promise.withResolvers<Position[]>();
    const bytes = records.reduce((sum, { record }) => sum + bytesOf(record), 0);
    this.#queue.push({ records, bytes, resolve, reject });
    this.#running ??= this.#run();
    return promise;
  }

  async #run(): Promise<void> {
    // A turn later, so that appends that are called together go together.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const together = this.#take();
      try {
        await this.#store(together);
      } catch (error) {
        // If it can be one record's fault, each caller gets an answer of its own.
        if (together.length > 1 && !isPassing(error)) for (const one of together) await this.#alone(one);
        else for (const { reject } of together) reject(error);
      }
    }
    // With the look at the queue in one step: whoever enqueues next must start a run.
    this.#running = undefined;
  }

  #take(): Waiting[] {
    const taken: Waiting[] = [];
    let records = 0;
    let bytes = 0;
    for (let next = this.#queue[0]; next; next = this.#queue[0]) {
      records += next.records.length;
      bytes += next.bytes;
      if (taken.length > 0 && (records > RECORDS_MAX || bytes > BYTES_MAX)) break;
      taken.push(next);
      this.#queue.shift();
    }
    return taken;
  }

  async #alone(waiting: Waiting): Promise<void> {
    try {
      await this.#store([waiting]);
    } catch (error) {
      waiting.reject(error);
    }
  }

  async #store(together: readonly Waiting[]): Promise<void> {
    const records = together.flatMap((waiting) => waiting.records);
    const { values, slots, nths } = appendBatch(records);
    const bases: bigint[] = [];
    for (const [slot, base] of await this.#database.query<[number, string]>(APPEND, values))
      bases[slot] = BigInt(base);
    this.#bell.ringRecords(
      new Set(records.map(({ topicId, partition }) => partitionKey(topicId, partition))),
    );
    const positions = records.map(({ record, partition }, i) => ({
      topic: record.topic,
      partition,
      offset: (bases[slots[i] ?? 0] ?? 0n) + BigInt(nths[i] ?? 0),
    }));
    let from = 0;
    for (const waiting of together) {
      waiting.resolve(positions.slice(from, from + waiting.records.length));
      from += waiting.records.length;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await this.#running;
    this.#onClose(this);
  }
}

/** About what the record takes on its way. */
function bytesOf({ key, value, headers }: LogRecord): number {
  let bytes = (key?.length ?? 0) + (value?.length ?? 0);
  for (const name in headers) bytes += name.length + (headers[name]?.length ?? 0);
  return bytes;
}

/** Parts that fit a statement each. */
function cut(records: readonly Placed[]): Placed[][] {
  const parts: Placed[][] = [];
  let part: Placed[] = [];
  let bytes = 0;
  for (const placed of records) {
    const size = bytesOf(placed.record);
    if (part.length > 0 && (part.length >= RECORDS_MAX || bytes + size > BYTES_MAX)) {
      parts.push(part);
      part = [];
      bytes = 0;
    }
    part.push(placed);
    bytes += size;
  }
  if (part.length > 0) parts.push(part);
  return parts;
}
