import { Turns } from '@tradewind/process/turns';
import type { EventLog, PartitionLag, Position, ReceivedRecord } from './log.ts';

type Bounds = Awaited<ReturnType<EventLog['bounds']>>;

export interface SparingOptions {
  /** Ends it: nothing more is asked of the log then. */
  readonly signal: AbortSignal;
  /** Records that are read at most, over all topics. */
  readonly most: number;
}

/** Questions at a time: the log's connections are the relay's and the consumer's. */
const AT_ONCE = 2;

/** A log as somebody looks at it who only wants to know: a few questions at a time, a bounded number of records, and nothing for a caller who left. */
export class SparingLog {
  readonly id: string;
  readonly #log: Pick<EventLog, 'id' | 'read' | 'bounds' | 'lag'>;
  readonly #signal: AbortSignal;
  readonly #turns = new Turns(AT_ONCE);
  #left: number;

  constructor(log: Pick<EventLog, 'id' | 'read' | 'bounds' | 'lag'>, { signal, most }: SparingOptions) {
    this.id = log.id;
    this.#log = log;
    this.#signal = signal;
    this.#left = most;
  }

  /** Records that may still be read. */
  get left(): number {
    return this.#left;
  }

  read(from: Position, limit: number): Promise<ReceivedRecord[]> {
    return this.#ask(async () => {
      // A single one is never refused, so that a bisection ends.
      const records = await this.#log.read(from, Math.max(1, Math.min(limit, this.#left)));
      this.#left -= records.length;
      return records;
    });
  }

  bounds(topic: string): Promise<Bounds> {
    return this.#ask(() => this.#log.bounds(topic));
  }

  lag(group: string, topics: readonly string[]): Promise<PartitionLag[]> {
    return this.#ask(() => this.#log.lag(group, topics));
  }

  async #ask<T>(question: () => Promise<T>): Promise<T> {
    using _turn = await this.#turns.take(this.#signal);
    this.#signal.throwIfAborted();
    return await question();
  }
}
