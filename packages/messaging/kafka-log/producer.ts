import { Code, ConnectError } from '@connectrpc/connect';
import type { LogRecord, Position, Producer } from '../log.ts';
import { partitionOf } from '../partition.ts';
import type { Cluster } from './cluster.ts';
import { isPassing, KafkaProblem, understood } from './failure.ts';
import { BATCH_OVERHEAD, sizeOf } from './records.ts';
import { type Batch, cutRound, type Outgoing } from './rounds.ts';
import { Sender } from './sender.ts';
import { learnLimits } from './topics.ts';

/** The most that appends share a turn for. */
const RECORDS_MAX = 10_000;
const REQUEST_BYTES = 8 * 1024 * 1024;

interface Waiting {
  readonly records: readonly Outgoing<Waiting>[];
  readonly positions: Position[];
  readonly resolve: (positions: Position[]) => void;
  readonly reject: (reason: unknown) => void;
  /** Why it failed; then nothing more of it is sent. */
  failure: unknown;
}

/**
 * Appends with one request outstanding at each broker. Appends that come meanwhile share the next one; each has its own answer. Once nobody knows
 * what became of a request, its records are rejected and the producer goes on under a new identity, so that a sequence is never used twice.
 */
export class KafkaProducer implements Producer {
  readonly #cluster: Cluster;
  readonly #sender: Sender<Waiting>;
  readonly #onClose: (producer: AsyncDisposable) => void;
  #queue: Waiting[] = [];
  readonly #appending = new Set<Promise<Position[]>>();
  #running: Promise<void> | undefined;
  #closed = false;
  #turn = Math.floor(Math.random() * 1_000);

  constructor(cluster: Cluster, compression: number, onClose: (producer: AsyncDisposable) => void) {
    this.#cluster = cluster;
    this.#onClose = onClose;
    this.#sender = new Sender(cluster, compression);
  }

  async append(records: readonly LogRecord[]): Promise<Position[]> {
    if (this.#closed) throw new ConnectError('the producer is closed', Code.FailedPrecondition);
    if (records.length === 0) return [];
    const appending = this.#append(records);
    this.#appending.add(appending);
    try {
      return await appending;
    } finally {
      this.#appending.delete(appending);
    }
  }

  async #append(records: readonly LogRecord[]): Promise<Position[]> {
    try {
      await this.#learn(records);
    } catch (error) {
      throw understood(error);
    }
    const { promise, resolve, reject } = Promise.withResolvers<Position[]>();
    const outgoing: Outgoing<Waiting>[] = [];
    const waiting: Waiting = { records: outgoing, positions: [], resolve, reject, failure: undefined };
    this.#place(records, waiting, outgoing);
    this.#queue.push(waiting);
    this.#running ??= this.#run();
    return await promise;
  }

  /** Knows the topics of the records. Without waiting where they are known, so that appends keep the order in which they were called. */
  async #learn(records: readonly LogRecord[]): Promise<void> {
    const known = records.every(({ topic }) => this.#cluster.known(topic)?.maxBytes !== undefined);
    if (known) return;
    const names = [...new Set(records.map(({ topic }) => topic))];
    await this.#cluster.topics(names);
    await learnLimits(this.#cluster, names);
  }

  /** Records without a key go to one partition an append, each append to the next. */
  #place(records: readonly LogRecord[], caller: Waiting, outgoing: Outgoing<Waiting>[]): void {
    const turn = this.#turn++;
    for (const [nth, record] of records.entries()) {
      const topic = this.#cluster.known(record.topic);
      if (!topic) throw new ConnectError(`there is no topic ${record.topic}`, Code.NotFound);
      const size = sizeOf(record);
      const limit = this.#batchBytes(topic.name);
      if (size > limit)
        throw new ConnectError(
          `a record of ${size} bytes is too large for topic ${topic.name}, which takes ${limit}`,
          Code.OutOfRange,
        );
      const partition =
        record.key === null ? turn % topic.partitions : partitionOf(record.key, topic.partitions);
      outgoing.push({ topic: topic.name, partition, message: record, size, caller, nth });
    }
  }

  #batchBytes(topic: string): number {
    return (this.#cluster.known(topic)?.maxBytes ?? 1_000_000) - BATCH_OVERHEAD;
  }

  async #run(): Promise<void> {
    // A turn later, so that appends that are called together go together.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const together = this.#take();
      let left = together.flatMap(({ records }) => records);
      while (left.length > 0) {
        const limits = {
          requestBytes: REQUEST_BYTES,
          batchBytes: (topic: string) => this.#batchBytes(topic),
        };
        const { batches, rest } = cutRound(left, limits);
        await this.#send(batches);
        left = rest.filter(({ caller }) => caller.failure === undefined);
      }
      for (const { resolve, reject, positions, failure } of together)
        if (failure === undefined) resolve(positions);
        else reject(understood(failure));
    }
    // With the look at the queue in one step: whoever enqueues next must start a run.
    this.#running = undefined;
  }

  #take(): Waiting[] {
    let records = 0;
    let count = 0;
    for (const waiting of this.#queue) {
      records += waiting.records.length;
      if (count > 0 && records > RECORDS_MAX) break;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  async #send(batches: readonly Batch<Waiting>[]): Promise<void> {
    const failures = await this.#sender.send(batches);
    for (const [batch, error] of failures) {
      const callers = new Set(batch.records.map(({ caller }) => caller));
      const topic = this.#cluster.known(batch.topic);
      // The limit that was known is not the limit any more.
      if (topic && error instanceof KafkaProblem && error.type === 'MESSAGE_TOO_LARGE')
        topic.maxBytes = undefined;
      // If it can be one caller's fault, each gets an answer of its own.
      if (isPassing(error) || callers.size === 1) for (const caller of callers) caller.failure = error;
      else
        for (const caller of callers) {
          if (caller.failure !== undefined) continue;
          const records = batch.records.filter((record) => record.caller === caller);
          await this.#send([{ ...batch, records }]);
        }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#appending);
    this.#sender[Symbol.dispose]();
    this.#onClose(this);
  }
}
