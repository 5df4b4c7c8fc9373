import type { Database } from '@tradewind/database/database';
import { fullJitter } from '@tradewind/process/backoff';
import type { Logger } from '@tradewind/telemetry/logger';
import type { Batches } from './batch.ts';
import { deadly } from './careful.ts';
import type { GivingUp } from './dead-letter.ts';
import type { Gate } from './gate.ts';
import { type HeldEvent, headOf, Overtaken, type Verdict } from './held.ts';
import { isHopeless } from './incoming.ts';
import { close, countFailure, type Line, leave, nextDue, takeDue, type Worker } from './line.ts';
import type { ReceivedRecord } from './log.ts';
import type { Marks } from './marks.ts';
import { type RetryPolicy, retryOf } from './retry.ts';
import type { Watch } from './watch.ts';

export interface DrainOptions {
  readonly worker: Worker;
  readonly database: Database;
  readonly batches: Batches;
  readonly marks: Marks;
  readonly gate: Gate;
  readonly retry: RetryPolicy;
  /** Runs a transaction, waiting out conflicts and a database that is away. */
  readonly attempt: <T>(work: () => Promise<T>) => Promise<T>;
  readonly watch?: Pick<Watch, 'failed'> | undefined;
  /** Called whenever it has looked: takes care of what changed. */
  readonly onTurn: () => Promise<void>;
  /** Called for an event that has failed and waits again. */
  readonly onRetry: (record: ReceivedRecord, waitMs: number) => void;
  /** What log lines about an event say of its trace. */
  readonly idsOf: (record: ReceivedRecord) => object;
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

/** Lines at a time; further ones wait. */
const LANES = 4;
/** Events of a line that share a transaction once its head is healed. */
const FOLLOWERS = 200;
/** How often it looks without being woken: for lines of other processes. */
const POLL_MS = 1_000;
/** Never sooner, or a line that somebody else has locked would be asked for without a pause. */
const LEAST_MS = 5;

/**
 * Works off what the group holds: each line in order, several lines at a time, whoever held it. A line is a session's as long as that lives;
 * a failing one delays nothing but itself.
 */
export class Drain {
  readonly #options: DrainOptions;
  readonly #working = new Set<Promise<void>>();
  #wake: (() => void) | undefined;
  #wanted = false;

  constructor(options: DrainOptions) {
    this.#options = options;
  }

  /** Something was held. */
  wake(): void {
    this.#wanted = true;
    this.#wake?.();
  }

  /** Works until the signal aborts and its lines are at rest. */
  async run(): Promise<void> {
    const { signal, logger } = this.#options;
    while (!signal.aborted) {
      this.#wanted = false;
      const wait = await this.#turn().catch((error: unknown) => {
        if (!signal.aborted) logger.warn({ err: error }, 'held events could not be looked for; trying again');
        return POLL_MS;
      });
      if (!this.#wanted) await this.#pause(wait);
    }
    await Promise.all(this.#working);
  }

  /** Starts on lines that are due. Answers for how long there is nothing to do. */
  async #turn(): Promise<number> {
    const { worker, database, onTurn } = this.#options;
    const lanes = Math.max(1, Math.min(LANES, (database.pool.options.max ?? 10) - 1));
    const free = lanes - this.#working.size;
    for (const line of free > 0 ? await takeDue(database.pool, worker, free) : []) this.#start(line);
    await onTurn();
    if (this.#working.size >= lanes) return POLL_MS;
    const due = await nextDue(database.pool, worker);
    return Math.min(POLL_MS, Math.max(LEAST_MS, due ?? POLL_MS));
  }

  #start(line: Line): void {
    const { signal, logger, database, worker } = this.#options;
    const working = this.#work(line)
      .catch(async (error: unknown) => {
        if (signal.aborted) return;
        logger.error(
          { topic: line.topic, key: line.key, err: error },
          'a line of held events is stuck; trying again',
        );
        await leave(database.pool, worker, line, POLL_MS).catch(() => undefined);
      })
      .finally(() => {
        this.#working.delete(working);
        this.wake();
      });
    this.#working.add(working);
  }

  async #pause(ms: number): Promise<void> {
    const { signal } = this.#options;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    const wake = () => resolve();
    this.#wake = wake;
    signal.addEventListener('abort', wake, { once: true });
    if (!signal.aborted) await promise;
    clearTimeout(timer);
    signal.removeEventListener('abort', wake);
    this.#wake = undefined;
  }

  /** Works a line off, or up to a failure that has to wait. */
  async #work(taken: Line): Promise<void> {
    const { worker, database, attempt } = this.#options;
    let line: Line | undefined = taken;
    let size = 1;
    while (line) {
      const at: Line = line;
      const events = await attempt(() => headOf(database.pool, worker.group, at, size));
      const [head] = events;
      if (!head) {
        if (await attempt(() => database.transaction((em) => close(em, worker, at)))) return;
        size = 1;
        continue;
      }
      try {
        if (events.length === 1) line = await this.#one(at, head);
        else await this.#settle(events);
        size = FOLLOWERS;
      } catch (error) {
        this.#options.signal.throwIfAborted();
        // Somebody else's now, for the session was believed dead; or still ours, when the answer to a commit was lost: then it is looked at anew.
        if (error instanceof Overtaken) return await attempt(() => leave(database.pool, worker, at, 0));
        if (events.length === 1) throw error;
        this.#options.logger.warn(
          { topic: at.topic, key: at.key, err: error },
          'held events failed; they run one by one',
        );
        size = 1;
      }
    }
  }

  async #settle(events: readonly HeldEvent[]): Promise<void> {
    const { gate, attempt, batches } = this.#options;
    await gate.together(() => attempt(() => batches.heal(events, false)));
  }

  /** Deals with a line's first event. Answers the line that is left to work on, or undefined when it waits. */
  async #one(line: Line, head: HeldEvent): Promise<Line | undefined> {
    const { gate, attempt, batches } = this.#options;
    if (line.verdict) return await this.#giveUp(line, head, this.#why(line, line.verdict));
    try {
      if (line.careful) return await gate.alone(() => this.#alone(line, head));
      await gate.together(() => attempt(() => batches.heal([head], line.attempts > 0)));
      return healed(line);
    } catch (error) {
      return await this.#failed(line, head, error);
    }
  }

  /** One that may have killed: nothing else runs meanwhile, so that its next victim knows its name. */
  async #alone(line: Line, head: HeldEvent): Promise<Line | undefined> {
    const { attempt, batches, marks } = this.#options;
    const lone = await attempt(() => marks.begin(head.record));
    try {
      const why = deadly(lone);
      if (why) return await this.#giveUp(line, head, why);
      await attempt(() => batches.heal([head], true));
      if (lone) await attempt(() => marks.forget(head.record));
      return healed(line);
    } finally {
      await attempt(() => marks.rest()).catch(() => undefined);
    }
  }

  async #failed(line: Line, head: HeldEvent, error: unknown): Promise<Line | undefined> {
    const { signal, logger, worker, database, attempt, retry } = this.#options;
    signal.throwIfAborted();
    if (error instanceof Overtaken) throw error;
    const { attempts, baseMs, capMs } = retryOf(retry);
    const verdict: Verdict | undefined = isHopeless(error)
      ? 'rejected'
      : line.attempts + 1 >= attempts
        ? 'failed'
        : undefined;
    const now = await attempt(() => countFailure(database.pool, worker, line, error, verdict));
    if (!now) return undefined;
    this.#options.watch?.failed(line.topic);
    const ids = this.#options.idsOf(head.record);
    const about = { topic: line.topic, key: line.key, event: head.id, attempts: now.attempts, ...ids };
    logger.warn({ ...about, err: error }, 'an event failed again');
    if (verdict) return await this.#giveUp(now, head, this.#why(now, verdict));
    const waitMs = fullJitter(now.attempts - 1, { baseMs, capMs });
    this.#options.onRetry(head.record, waitMs);
    await attempt(() => leave(database.pool, worker, line, waitMs));
    return undefined;
  }

  /** Makes a dead letter of the event. As long as that fails it stays where it is, and its key waits: there is nothing after giving up. */
  async #giveUp(line: Line, head: HeldEvent, why: GivingUp): Promise<Line | undefined> {
    const { attempt, batches, database, worker, logger, signal, retry, marks } = this.#options;
    try {
      await attempt(() => batches.giveUpHeld(head, why));
      if (why.reason === 'deadly') await marks.forget(head.record);
      return healed(line);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof Overtaken) throw error;
      const about = { topic: line.topic, key: line.key, event: head.id };
      logger.error({ ...about, err: error }, 'a dead letter could not be written; its key waits');
      await attempt(() => leave(database.pool, worker, line, retryOf(retry).capMs));
      return undefined;
    }
  }

  #why({ error, attempts, firstFailure, lastFailure }: Line, reason: Verdict): GivingUp {
    return { reason, error: error ?? '', attempts, firstFailure, lastFailure };
  }
}

/** The line as its next event finds it. */
function healed(line: Line): Line {
  return { ...line, attempts: 0, error: null, verdict: null, careful: false };
}
