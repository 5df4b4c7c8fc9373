import type { Database } from '@tradewind/database/database';
import type { Waits } from '@tradewind/process/wait-for';
import type { Logger } from '@tradewind/telemetry/logger';
import { attempt as attemptOnce } from './attempt.ts';
import { type Batches, type BatchOutcome, type Incoming, openBatches } from './batch.ts';
import { redriveTopic } from './contract.ts';
import { Held, type RetryPolicy } from './held.ts';
import type { Consumer, EventLog } from './log.ts';
import { Progress } from './progress.ts';
import type { Subscription } from './subscription.ts';

export interface ListenOptions {
  /** The service's name: its consumer group, and the source of the facts that its handlers tell. */
  readonly group: string;
  readonly log: EventLog;
  readonly database: Database;
  readonly subscriptions: readonly Subscription[];
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Called after each commit, with what it did; wakes the relay, counts. */
  readonly onCommit?: (outcome: BatchOutcome) => void;
  /** Called once the group was joined. */
  readonly onJoined?: () => void;
  readonly waits?: Waits;
  readonly retry?: RetryPolicy;
  /** Records a transaction at most; 1,000 when left out. */
  readonly maxBatch?: number;
  /** Events held for retry at most, before nothing more is received; 10,000 when left out. */
  readonly maxHeld?: number;
  readonly clock?: () => Date;
}

/**
 * Listens to the topics of the subscriptions until the signal aborts: receives records of all partitions, settles them in one transaction,
 * then commits their offsets. Every event takes effect once; an event that keeps failing becomes a dead letter and holds up nothing but
 * later events of its own topic and key. Topics have to exist.
 */
export async function listen(options: ListenOptions): Promise<void> {
  const { group, log, subscriptions, maxBatch = 1_000, maxHeld = 10_000 } = options;
  const topics = [...subscriptions.map(({ topic }) => topic), redriveTopic(group)];
  const broken = new AbortController();
  const signal = AbortSignal.any([options.signal, broken.signal]);
  await using consumer = await log.consumer({ group, topics, maxRecords: maxBatch });
  options.onJoined?.();
  const listener = new Listener({ ...options, signal }, consumer, (error) => broken.abort(error));
  try {
    while (!signal.aborted) {
      await listener.room(maxHeld);
      const records = await consumer.receive(signal);
      // Records that come during the shutdown are left for the next owner.
      if (records.length > 0 && !signal.aborted) await orAbandon(listener.take(records), signal);
    }
  } catch (error) {
    // Held lines end with it; one that is retried for long must not keep the failure from whoever joins again.
    if (!signal.aborted) broken.abort(error);
  } finally {
    await orAbandon(listener.finish(), signal);
  }
  if (broken.signal.aborted) throw broken.signal.reason;
}

/** How long a batch may still take once it is time to stop. What is abandoned rolls back and is received again. */
const ABANDON_MS = 3_000;

async function orAbandon(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const over = Promise.withResolvers<void>();
  let timer: NodeJS.Timeout | undefined;
  const start = () => {
    timer = setTimeout(over.resolve, ABANDON_MS);
  };
  if (signal.aborted) start();
  else signal.addEventListener('abort', start, { once: true });
  try {
    work.catch(() => undefined);
    await Promise.race([work, over.promise]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', start);
  }
}

class Listener {
  readonly #options: ListenOptions;
  readonly #consumer: Consumer;
  readonly #batches: Batches;
  readonly #progress = new Progress();
  readonly #held: Held;
  #committing: Promise<void> = Promise.resolve();

  constructor(options: ListenOptions, consumer: Consumer, onBroken: (error: unknown) => void) {
    const { group, log, database, subscriptions, signal, logger, clock = () => new Date() } = options;
    this.#options = options;
    this.#consumer = consumer;
    this.#batches = openBatches({ group, logId: log.id, database, subscriptions, clock });
    this.#held = new Held({
      batches: this.#reporting(this.#batches),
      retry: options.retry ?? {},
      attempt: (work) => this.#attempt(work),
      onSettled: (record) => {
        this.#progress.settled(record);
        this.#commit();
      },
      onLost: (record) => this.#progress.forget(record),
      onBroken,
      owned: (record) => consumer.owns(record),
      clock,
      signal,
      logger,
    });
  }

  /** Takes a batch: one transaction if it can be, and if it can't, one by one, so that a bad event hurts only itself. */
  async take(records: Parameters<Progress['received']>[0]): Promise<void> {
    this.#progress.received(records);
    // A partition that went to another member meanwhile is that member's work.
    const mine = records.filter((record) => this.#consumer.owns(record) || this.#drop(record));
    const free = mine
      .map((record) => this.#batches.decode(record))
      .filter((incoming) => !this.#held.follow(incoming));
    if (free.length > 0) await this.#settle(free);
    this.#commit();
  }

  async #settle(free: readonly Incoming[]): Promise<void> {
    const batches = this.#reporting(this.#batches);
    try {
      await this.#attempt(() => batches.settle(free));
      for (const { context } of free) this.#progress.settled(context.record);
    } catch (error) {
      this.#options.signal.throwIfAborted();
      const [only] = free;
      if (free.length === 1 && only) return this.#held.hold(only, error);
      this.#options.logger.warn(
        { err: error, events: free.length },
        'a batch failed; its events run one by one',
      );
      for (const incoming of free) if (!this.#held.follow(incoming)) await this.#settle([incoming]);
    }
  }

  /** Waits while too much is held. */
  async room(maxHeld: number): Promise<void> {
    if (this.#held.size < maxHeld) return;
    this.#options.logger.error({ held: this.#held.size }, 'too many events are held; receiving pauses');
    await this.#held.idle();
  }

  /** Ends with what is committed being all that is settled. */
  async finish(): Promise<void> {
    await this.#held.idle();
    this.#commit();
    await this.#committing;
  }

  #drop(record: Parameters<Progress['settled']>[0]): false {
    this.#progress.forget(record);
    return false;
  }

  #attempt<T>(work: () => Promise<T>): Promise<T> {
    const { database, signal, logger, waits } = this.#options;
    return attemptOnce(work, { probe: () => database.probe(), signal, logger, ...(waits && { waits }) });
  }

  #reporting(batches: Batches): Batches {
    const report = async (outcome: Promise<BatchOutcome>) => {
      const done = await outcome;
      for (const letter of done.dead) this.#tell(letter);
      this.#options.onCommit?.(done);
      return done;
    };
    return {
      decode: batches.decode,
      settle: (batch) => report(batches.settle(batch)),
      giveUp: (incoming, why) => report(batches.giveUp(incoming, why)),
    };
  }

  #tell([{ topic, context }, why]: BatchOutcome['dead'][number]): void {
    const { record, id: event, source, traceparent } = context;
    const { partition, offset, key } = record;
    this.#options.logger.error(
      { topic, partition, offset: String(offset), key, event, source, traceparent, ...why },
      'gave up on an event: it is a dead letter now',
    );
  }

  /** One commit is under way at a time; the next one takes all that was settled meanwhile. Its failure only means a repetition. */
  #commit(): void {
    this.#committing = this.#committing.then(async () => {
      const positions = this.#progress.take();
      if (positions.length === 0) return;
      try {
        for (const refused of await this.#consumer.commit(positions)) this.#progress.forget(refused);
      } catch (error) {
        for (const { topic, partition } of positions) this.#progress.reopen({ topic, partition });
        this.#options.logger.warn({ err: error }, 'offsets could not be committed; the next commit will');
      }
    });
  }
}
