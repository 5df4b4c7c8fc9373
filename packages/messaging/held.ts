import { delay, fullJitter } from '@tradewind/process/backoff';
import type { Logger } from '@tradewind/telemetry/logger';
import { type Batches, type Incoming, isHopeless } from './batch.ts';
import type { GivingUp } from './dead-letter.ts';
import type { ReceivedRecord } from './log.ts';

export interface RetryPolicy {
  /** Attempts at most, the first included; 6 when left out. */
  readonly attempts?: number;
  /** Bound of the first wait in milliseconds, doubled each time, with full jitter; 200 when left out. */
  readonly baseMs?: number;
  /** Bound of every wait; 10,000 when left out. */
  readonly capMs?: number;
}

export interface HeldOptions {
  readonly batches: Batches;
  readonly retry: RetryPolicy;
  /** Runs a transaction, waiting out conflicts and a database that is away. */
  readonly attempt: <T>(work: () => Promise<T>) => Promise<T>;
  /** A record is dealt with, for good. */
  readonly onSettled: (record: ReceivedRecord) => void;
  /** It was not dealt with and is not this member's any more; it will be received again by whoever owns its partition. */
  readonly onLost: (record: ReceivedRecord) => void;
  /** A line ended though it must not. */
  readonly onBroken: (error: unknown) => void;
  /** Whether it is still this member's to handle. */
  readonly owned: (record: ReceivedRecord) => boolean;
  readonly clock: () => Date;
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

/** One key's line: its first event is in retry, the others wait for it. */
interface Line {
  readonly waiting: Incoming[];
  attempts: number;
  /** Times that its dead letter could not be written. */
  refused: number;
  firstFailure: Date;
  error: unknown;
}

/** The key whose order an event must keep. Without a key there is no order to keep. */
export function lineOf({ topic, context: { record } }: Incoming): string {
  return record.key === null ? `${topic}/${record.partition}/${record.offset}` : `${topic}\n${record.key}`;
}

/**
 * Events in retry, and those behind them of the same topic and key; everything else flows past. They are held in memory, so their offsets
 * are not committed: after a crash they are received again, and the inbox absorbs what was handled meanwhile.
 */
export class Held {
  readonly #options: HeldOptions;
  readonly #lines = new Map<string, Line>();
  readonly #running = new Set<Promise<void>>();
  #size = 0;

  constructor(options: HeldOptions) {
    this.#options = options;
  }

  /** Events held, those in retry included. */
  get size(): number {
    return this.#size;
  }

  /** Joins the event's line if there is one. */
  follow(incoming: Incoming): boolean {
    const line = this.#lines.get(lineOf(incoming));
    if (!line) return false;
    line.waiting.push(incoming);
    this.#size++;
    return true;
  }

  /** Opens a line with an event that has just failed for the first time. */
  hold(incoming: Incoming, error: unknown): void {
    const name = lineOf(incoming);
    const line: Line = {
      waiting: [incoming],
      attempts: 1,
      refused: 0,
      firstFailure: this.#options.clock(),
      error,
    };
    this.#lines.set(name, line);
    this.#size++;
    const running = this.#work(line)
      .catch((failure: unknown) => {
        // The end of the process ends a line early, and its events are received again; anything else is a defect.
        if (!this.#options.signal.aborted) this.#options.onBroken(failure);
      })
      .finally(() => {
        this.#running.delete(running);
        // Not the line's own deletion: another may have opened under the name since.
        if (this.#lines.get(name) === line) this.#lines.delete(name);
      });
    this.#running.add(running);
  }

  /** Resolves when nothing is held any more, or the signal has ended every line. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async #work(line: Line): Promise<void> {
    const { onSettled, onLost, owned } = this.#options;
    for (let head = line.waiting[0]; head; head = line.waiting[0]) {
      const { record } = head.context;
      let dealt = false;
      while (!dealt && owned(record)) dealt = await this.#deal(head, line);
      // In doubt is lost: whoever owns the partition, this member perhaps, receives all of the line again.
      const done = dealt ? 1 : line.waiting.length;
      line.waiting.splice(0, done);
      this.#size -= done;
      line.attempts = 0;
      line.error = undefined;
      // In the same turn as the last look, so that nobody joins a line that has ended.
      if (line.waiting.length === 0) this.#lines.delete(lineOf(head));
      if (dealt) onSettled(record);
      else onLost(record);
    }
  }

  /** One attempt, or the end of all attempts. Answers whether the event is dealt with. */
  async #deal(head: Incoming, line: Line): Promise<boolean> {
    const { batches, attempt, clock, logger, signal, retry } = this.#options;
    const { attempts = 6, baseMs = 200, capMs = 10_000 } = retry;
    const about = { topic: head.topic, key: head.context.record.key, event: head.context.id };
    if (isHopeless(line.error) || line.attempts >= attempts) return await this.#giveUp(head, line);
    if (line.attempts > 0) await delay(fullJitter(line.attempts - 1, { baseMs, capMs }), signal);
    try {
      await attempt(() => batches.settle([head]));
      return true;
    } catch (error) {
      signal.throwIfAborted();
      if (line.attempts === 0) line.firstFailure = clock();
      line.attempts++;
      line.error = error;
      logger.warn(
        { ...about, attempts: line.attempts, err: error },
        'an event failed; it will be tried again',
      );
      return false;
    }
  }

  /** Makes a dead letter of the event. As long as that fails it stays where it is: there is nothing after giving up. */
  async #giveUp(head: Incoming, line: Line): Promise<boolean> {
    const { batches, attempt, logger, signal, retry } = this.#options;
    const about = { topic: head.topic, key: head.context.record.key, event: head.context.id };
    try {
      await attempt(() => batches.giveUp(head, this.#verdict(line)));
      return true;
    } catch (error) {
      signal.throwIfAborted();
      logger.error({ ...about, err: error }, 'a dead letter could not be written; its key waits');
      const backoff = { baseMs: retry.baseMs ?? 200, capMs: retry.capMs ?? 10_000 };
      await delay(fullJitter(line.refused++, backoff), signal);
      return false;
    }
  }

  #verdict({ error, attempts, firstFailure }: Line): GivingUp {
    return {
      reason: isHopeless(error) ? 'rejected' : 'failed',
      error: error instanceof Error ? error.message : String(error),
      attempts,
      firstFailure,
      lastFailure: this.#options.clock(),
    };
  }
}
