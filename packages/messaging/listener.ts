import { delay, fullJitter } from '@tradewind/process/backoff';
import { attempt as attemptOnce } from './attempt.ts';
import { type Batches, type BatchOutcome, openBatches } from './batch.ts';
import { Careful, deadly } from './careful.ts';
import { idsIn } from './carried.ts';
import type { GivingUp } from './dead-letter.ts';
import { Drain } from './drain.ts';
import { EventSpans } from './event-spans.ts';
import { Gate } from './gate.ts';
import { type Failure, textOf } from './held.ts';
import { type Decode, decoder, type Identified, type Incoming, isHopeless } from './incoming.ts';
import type { ListenOptions } from './listen.ts';
import type { Consumer, ReceivedRecord } from './log.ts';
import { Marks } from './marks.ts';
import { Progress } from './progress.ts';
import { retryOf } from './retry.ts';
import { Room } from './room.ts';
import { Session } from './session.ts';
import type { Work } from './watch.ts';

/** How often it is looked whether other listeners died. */
const LOOK_MS = 1_000;

/** One member of a group at work: settles what it receives, and beside it what the group holds. */
export class Listener implements AsyncDisposable {
  readonly #options: ListenOptions;
  readonly #consumer: Consumer;
  readonly #decode: Decode;
  readonly #spans: EventSpans;
  readonly #batches: Batches;
  readonly #session: Session;
  readonly #marks: Marks;
  readonly #careful: Careful;
  readonly #room: Room;
  readonly #drain: Drain;
  readonly #gate = new Gate();
  readonly #progress = new Progress();
  #committing: Promise<void> = Promise.resolve();
  /** A record is handled that may have killed. */
  #lonely = false;
  #lookedAt = Number.NEGATIVE_INFINITY;
  /** A commit failed, and perhaps no batch comes that would bring the next one. */
  #uncommitted = false;

  constructor(options: ListenOptions, consumer: Consumer) {
    const { group, log, database, subscriptions, signal, logger } = options;
    const { maxBatch = 1_000, maxHeld = 10_000, retry = {}, clock = () => new Date() } = options;
    const { pool } = database;
    this.#options = options;
    this.#consumer = consumer;
    this.#decode = decoder({ group, logId: log.id, subscriptions, clock });
    const { consumerSpans } = options;
    this.#spans = new EventSpans({ group, system: log.system, consumerSpans });
    this.#batches = this.#reporting(
      this.#spans.around(openBatches({ group, database, decode: this.#decode })),
    );
    this.#session = new Session({ group, pool, logger, signal });
    this.#marks = new Marks({
      session: this.#session,
      pool,
      signal,
      owned: (partition) => consumer.owns(partition),
    });
    this.#careful = new Careful({ marks: this.#marks, log, maxBatch, logger });
    this.#room = new Room({ group, pool, consumer, maxHeld, logger });
    this.#drain = new Drain({
      worker: { group, session: this.#session.id },
      database,
      batches: this.#batches,
      marks: this.#marks,
      gate: this.#gate,
      retry,
      attempt: (work) => this.#attempt(work),
      watch: options.watch,
      onTurn: () => this.#look(),
      onRetry: (record, waitMs) => this.#spans.waits(record, waitMs),
      idsOf: (record) => this.#spans.idsOf(record),
      signal,
      logger,
    });
  }

  /** Works off what is held, until the signal aborts. */
  async drain(): Promise<void> {
    try {
      await this.#session.ready();
      await this.#drain.run();
    } catch (error) {
      if (!this.#options.signal.aborted) throw error;
    }
  }

  /** Takes a batch: one transaction if it can be, and if it can't, one by one, so that a bad event hurts only itself. */
  async take(records: readonly ReceivedRecord[]): Promise<void> {
    this.#spans.received();
    this.#progress.received(records);
    await this.#attempt(() => this.#careful.enter(records));
    // A partition that went to another member meanwhile is that member's work.
    const mine = records.filter((record) => this.#consumer.owns(record) || this.#drop(record));
    const { sure, doubted } = this.#careful.split(mine);
    if (sure.length > 0)
      await this.#gate.together(() => this.#settle(sure.map((record) => this.#decode(record))));
    this.#commit();
    let at = 0;
    for (; at < doubted.length && !(at > 0 && this.#careful.over); at++) {
      const record = doubted[at];
      if (record) await this.#gate.alone(() => this.#alone(record));
    }
    const rest = doubted.slice(at);
    if (doubted.length > 0) await this.#attempt(() => this.#marks.rest());
    if (rest.length > 0)
      await this.#gate.together(() => this.#settle(rest.map((record) => this.#decode(record))));
    this.#commit();
  }

  async #settle(batch: readonly Incoming[]): Promise<void> {
    try {
      await this.#attempt(() => this.#batches.settle(batch));
      for (const { context } of batch) this.#progress.settled(context.record);
    } catch (error) {
      this.#options.signal.throwIfAborted();
      const [only] = batch;
      if (batch.length === 1 && only) return await this.#failed(only, error);
      this.#options.logger.warn(
        { err: error, events: batch.length },
        'a batch failed; its events run one by one',
      );
      for (const incoming of batch) await this.#settle([incoming]);
    }
  }

  /** A record that may have killed: in a commit of its own its name is left behind, before anything looks into it. */
  async #alone(record: ReceivedRecord): Promise<void> {
    const lone = await this.#attempt(() => this.#marks.begin(record));
    const why = deadly(lone);
    this.#lonely = true;
    try {
      if (why) await this.#giveUp(this.#decode.identify(record), why);
      else await this.#settle([this.#decode(record)]);
    } finally {
      this.#lonely = false;
    }
    if (lone) await this.#attempt(() => this.#marks.forget(record));
    this.#commit();
  }

  /** An event failed by its own fault: it is held, or given up on, and the offset moves on. */
  async #failed(incoming: Incoming, error: unknown): Promise<void> {
    const { logger, retry = {} } = this.#options;
    const { attempts, baseMs, capMs } = retryOf(retry);
    this.#options.watch?.failed(incoming.topic);
    const about = this.#about(incoming);
    const hopeless = isHopeless(error);
    if (hopeless || attempts <= 1) {
      const now = this.#options.clock?.() ?? new Date();
      const reason = hopeless ? 'rejected' : 'failed';
      const why = { reason, error: textOf(error), attempts: 1, firstFailure: now, lastFailure: now } as const;
      return await this.#giveUp(incoming, why);
    }
    logger.warn({ ...about, attempts: 1, err: error }, 'an event failed; it will be tried again');
    await this.#hold(incoming, {
      error,
      attempts: 1,
      verdict: undefined,
      waitMs: fullJitter(0, { baseMs, capMs }),
    });
  }

  async #giveUp(incoming: Identified, why: GivingUp): Promise<void> {
    try {
      await this.#attempt(() => this.#batches.giveUp(incoming, why));
      this.#progress.settled(incoming.context.record);
    } catch (error) {
      this.#options.signal.throwIfAborted();
      const about = { ...this.#about(incoming), err: error };
      this.#options.logger.error(about, 'a dead letter could not be written; its key waits');
      const verdict = why.reason === 'undecodable' ? 'rejected' : why.reason;
      const { capMs } = retryOf(this.#options.retry ?? {});
      await this.#hold(incoming, { error: why.error, attempts: why.attempts, verdict, waitMs: capMs });
    }
  }

  /** What log lines say of an event. */
  #about({ topic, context: { id: event, record } }: Identified) {
    return { topic, key: record.key, event, ...this.#spans.idsOf(record) };
  }

  /** Stays here until it is done: nothing of the batch may overtake an event that is neither settled nor held. */
  async #hold(incoming: Identified, failure: Failure): Promise<void> {
    const { logger, signal } = this.#options;
    for (let refused = 0; ; refused++) {
      try {
        await this.#attempt(() => this.#batches.hold(incoming, failure));
        this.#progress.settled(incoming.context.record);
        return this.#drain.wake();
      } catch (error) {
        signal.throwIfAborted();
        logger.error({ err: error, event: incoming.context.id }, 'an event could not be held; trying again');
        await delay(fullJitter(refused, { baseMs: 100, capMs: 5_000 }), signal);
      }
    }
  }

  /** What has to be looked at from time to time. */
  async #look(): Promise<void> {
    if (this.#room.paused) await this.#room.look();
    if (performance.now() - this.#lookedAt < LOOK_MS) return;
    this.#lookedAt = performance.now();
    if (this.#uncommitted) this.#commit();
    await this.#session.buryDead();
  }

  /** Ends with what is committed being all that is settled. */
  async finish(): Promise<void> {
    this.#commit();
    await this.#committing;
  }

  #drop(record: ReceivedRecord): false {
    this.#progress.forget(record);
    return false;
  }

  #attempt<T>(work: () => Promise<T>): Promise<T> {
    const { database, ...options } = this.#options;
    return attemptOnce(work, { ...options, probe: () => database.probe() });
  }

  #reporting(batches: Batches): Batches {
    const { onCommit, logger } = this.#options;
    const report = async (work: Work, events: number, outcome: Promise<BatchOutcome>) => {
      const began = performance.now();
      const done = await outcome;
      for (const letter of done.dead) this.#tell(letter);
      try {
        onCommit?.(done, { work, events, seconds: (performance.now() - began) / 1_000 });
      } catch (error) {
        // Whoever hears of a commit can't undo it by failing.
        logger.error({ err: error }, 'what a commit did could not be told');
      }
      return done;
    };
    return {
      settle: async (batch) => {
        const done = await report('receive', batch.length, batches.settle(batch));
        if (this.#lonely && done.handled + done.held.length > 0) this.#careful.survived();
        if (done.held.length > 0) await this.#added(done.held);
        return done;
      },
      hold: async (incoming, failure) => {
        const done = await report('hold', 1, batches.hold(incoming, failure));
        await this.#added(done.held);
        return done;
      },
      giveUp: (incoming, why) => report('give up', 1, batches.giveUp(incoming, why)),
      heal: (events, retried) => report('retry', events.length, batches.heal(events, retried)),
      giveUpHeld: (event, why) => report('give up', 1, batches.giveUpHeld(event, why)),
    };
  }

  /** Its failure must not look like the transaction's, which has committed; the next time counts again. */
  async #added(held: readonly Identified[]): Promise<void> {
    await this.#room
      .added(held.map(({ context }) => context.record))
      .catch((err: unknown) => this.#options.logger.warn({ err }, 'held events could not be counted'));
  }

  #tell([{ topic, context }, why]: BatchOutcome['dead'][number]): void {
    const { record, id: event, source } = context;
    const { partition, offset, key } = record;
    this.#options.logger.error(
      { topic, partition, offset: String(offset), key, event, source, ...idsIn(context), ...why },
      'gave up on an event: it is a dead letter now',
    );
  }

  /** One commit is under way at a time; the next one takes all that was settled meanwhile. Its failure only means a repetition. */
  #commit(): void {
    this.#committing = this.#committing.then(async () => {
      this.#uncommitted = false;
      const positions = this.#progress.take();
      if (positions.length === 0) return;
      try {
        for (const refused of await this.#consumer.commit(positions)) this.#progress.forget(refused);
      } catch (error) {
        for (const { topic, partition } of positions) this.#progress.reopen({ topic, partition });
        this.#uncommitted = true;
        this.#options.logger.warn({ err: error }, 'offsets could not be committed; the next commit will');
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#marks[Symbol.asyncDispose]();
    await this.#session[Symbol.asyncDispose]();
  }
}
