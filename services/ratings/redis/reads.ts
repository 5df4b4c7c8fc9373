import type { Database } from '@tradewind/database/database';
import { reasonOf } from '@tradewind/process/wait-for';
import type { Logger } from '@tradewind/telemetry/logger';
import { activeSpan, errorType, Span } from '@tradewind/telemetry/span';
import { CircuitState, ConsecutiveBreaker, circuitBreaker, handleAll } from 'cockatiel';
import { Link } from './link.ts';
import { Mending } from './mending.ts';
import { Outage } from './outage.ts';
import type { ProjectionMetrics, Reason } from './projection-metrics.ts';
import { type Found, type Place, Store } from './store.ts';
import type { Tally } from './tallies.ts';
import { Trust } from './trust.ts';

export interface ReadsOptions {
  readonly url: string;
  readonly timeoutMs: number;
  readonly database: Database;
  readonly logger: Logger;
  readonly metrics: ProjectionMetrics;
}

/** Failures in a row after which Redis is left alone, and for how long at least. */
const FAILURES = 3;
const REST_MS = 500;
/** What the client says of a command that took too long. */
const TIMED_OUT = 'Command timed out';
/** Subjects a script at most: Redis does nothing else meanwhile. */
const SCRIPT_MAX = 500;

/** Reads counts from Redis, as long as what it says can be believed and comes quickly. */
export class Reads implements AsyncDisposable {
  readonly #link: Link;
  readonly #store: Store;
  readonly #trust: Trust;
  readonly #mending: Mending;
  readonly #metrics: ProjectionMetrics;
  readonly #stop = new AbortController();
  readonly #keeping: Promise<void>;
  readonly #breaker = circuitBreaker(handleAll, {
    halfOpenAfter: REST_MS,
    breaker: new ConsecutiveBreaker(FAILURES),
  });

  constructor({ url, timeoutMs, database, logger, metrics }: ReadsOptions) {
    this.#link = new Link({ url, purpose: 'reads', timeoutMs, logger });
    this.#store = new Store(this.#link);
    this.#trust = new Trust({ database, logger });
    this.#mending = new Mending({ database, store: this.#store, logger });
    this.#metrics = metrics;
    const outage = new Outage(logger, 'Redis, for reads, which fail');
    this.#breaker.onBreak((why) => outage.goesOn('error' in why ? reasonOf(why.error) : 'resting'));
    this.#breaker.onReset(() => outage.over());
    this.#link.onReady(() => void this.#trust.look().then(() => this.#probe()));
    this.#keeping = this.#trust.keep(this.#stop.signal, () => this.#probe()).catch(() => undefined);
  }

  /** What Redis knows of these subjects; of those that are not in the answer PostgreSQL has to be asked. Never rejects. */
  async counts(subjects: readonly string[]): Promise<ReadonlyMap<string, Tally>> {
    const wanted = [...new Set(subjects)];
    const place = this.#place();
    if (typeof place === 'string') return this.#instead(place, wanted);
    // Whoever reads does not pay for finding out whether it is well again.
    if (this.#breaker.state !== CircuitState.Closed) return this.#instead('resting', wanted);
    try {
      const found = await this.#breaker.execute(() => this.#read(place, wanted));
      return found ? this.#sorted(place, wanted, found) : this.#instead('incomplete', wanted);
    } catch (error) {
      return this.#instead(reasonOf(error) === TIMED_OUT ? 'slow' : 'failed', wanted);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#link[Symbol.asyncDispose]();
    await this.#keeping;
    await this.#mending.ended();
  }

  #place(): Place | Reason {
    const { life } = this.#link;
    if (!life) return 'away';
    const trusted = this.#trust.epochFor(life);
    return typeof trusted === 'string' ? trusted : { epoch: trusted.epoch, life };
  }

  #instead(reason: Reason, subjects: readonly string[]): ReadonlyMap<string, Tally> {
    this.#metrics.fromPostgres(reason, subjects.length);
    return new Map();
  }

  #sorted(place: Place, subjects: readonly string[], found: readonly Found[]): ReadonlyMap<string, Tally> {
    const tallies = new Map<string, Tally>();
    for (const [n, subject] of subjects.entries()) {
      const one = found[n] ?? 'absent';
      if (typeof one !== 'string') {
        tallies.set(subject, one);
        continue;
      }
      this.#metrics.fromPostgres(one, 1);
      this.#mending.mend(place.life, subject);
    }
    this.#metrics.fromRedis.add(tallies.size);
    return tallies;
  }

  async #read(place: Place, subjects: readonly string[]): Promise<Found[] | undefined> {
    const parts: (readonly string[])[] = [];
    for (let at = 0; at < subjects.length; at += SCRIPT_MAX) parts.push(subjects.slice(at, at + SCRIPT_MAX));
    return await inSpan(subjects.length, async () => {
      const answers = await Promise.all(parts.map((part) => this.#store.read(place, part)));
      return answers.every((answer) => answer !== undefined) ? answers.flat() : undefined;
    });
  }

  /** While Redis is left alone: whether it is well again. */
  async #probe(): Promise<void> {
    const { life } = this.#link;
    if (!life || this.#breaker.state === CircuitState.Closed) return;
    await this.#breaker.execute(() => this.#store.read({ epoch: '', life }, [])).catch(() => undefined);
  }
}

// Names and attributes: https://opentelemetry.io/docs/specs/semconv/database/redis/
async function inSpan<T>(subjects: number, work: () => Promise<T>): Promise<T> {
  if (!activeSpan()) return await work();
  const span = new Span('EVALSHA', {
    scope: 'ratings',
    kind: 'client',
    attributes: { 'db.system.name': 'redis', 'db.operation.name': 'EVALSHA', 'tradewind.subjects': subjects },
  });
  try {
    return await work();
  } catch (error) {
    span.failed(errorType(error));
    throw error;
  } finally {
    span.end();
  }
}
