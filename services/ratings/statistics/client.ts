import { ask } from '@tradewind/process/ask';
import type { Logger } from '@tradewind/telemetry/logger';
import type { Span } from '@tradewind/telemetry/span';
import { BrokenCircuitError, type CircuitBreakerPolicy, CircuitState, type RetryPolicy } from 'cockatiel';
import { Failure, type RatingStatistics } from './answer.ts';
import { contextHeaders, noteAbsence, questionSpan } from './call-span.ts';
import type { Outcome, StatisticsMetrics } from './metrics.ts';
import { breakerOf, retriesOf } from './policies.ts';
import { openPost, type Post } from './post.ts';
import type { StatisticsConfig } from './settings.ts';

type Count = number | bigint | string;
/** How often each rating was given, 1 first. */
export type Counts = readonly [Count, Count, Count, Count, Count];

export interface StatisticsOptions {
  readonly config: StatisticsConfig;
  readonly metrics: StatisticsMetrics;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

export interface Statistics extends AsyncDisposable {
  /**
   * What the statistics function says of these counts; undefined when it can't be reached in time, and at once while it is known to be away. Never
   * rejects. Those who ask the same at the same time share an answer.
   */
  of(counts: Counts): Promise<RatingStatistics | undefined>;
}

/** Opens the client of the statistics function; one without an address, for which there never are any. */
export function openStatistics({ config, metrics, logger }: StatisticsOptions): Statistics {
  const { RATINGS_LAMBDA_URL: address } = config;
  if (address === undefined)
    return { of: async () => undefined, [Symbol.asyncDispose]: async () => undefined };
  return new StatisticsClient(new URL(address), { config, metrics, logger });
}

class StatisticsClient implements Statistics {
  readonly #url: URL;
  readonly #config: StatisticsConfig;
  readonly #metrics: StatisticsMetrics;
  readonly #post: Post;
  readonly #breaker: CircuitBreakerPolicy;
  readonly #retries: RetryPolicy;
  /** By question, until they are answered. */
  readonly #asked = new Map<string, Promise<RatingStatistics | undefined>>();

  constructor(url: URL, options: StatisticsOptions) {
    const { config, metrics } = options;
    this.#url = url;
    this.#config = config;
    this.#metrics = metrics;
    this.#post = openPost(url, config.STATISTICS_ATTEMPT_TIMEOUT);
    this.#breaker = breakerOf(options, url);
    this.#retries = retriesOf(config);
  }

  of(counts: Counts): Promise<RatingStatistics | undefined> {
    const question = questionOf(counts);
    const asked = this.#asked.get(question);
    if (asked !== undefined) {
      this.#metrics.called('shared');
      return asked;
    }
    const asking = this.#ask(question).finally(() => this.#asked.delete(question));
    this.#asked.set(question, asking);
    return asking;
  }

  async #ask(question: string): Promise<RatingStatistics | undefined> {
    const asking = new Asking(this.#config.STATISTICS_TIMEOUT);
    try {
      const answer = await this.#retries.execute(() => {
        // Whoever comes while one tries whether the function is back does not wait for that one.
        if (this.#breaker.state === CircuitState.HalfOpen) throw new BrokenCircuitError();
        return this.#breaker.execute(() => this.#attempt(question, asking));
      });
      this.#end(asking, 'answered');
      return answer;
    } catch (error) {
      if (!(error instanceof Failure || error instanceof BrokenCircuitError)) throw error;
      // A breaker that opens between two attempts changes nothing about why the first one failed.
      this.#end(asking, asking.failure?.outcome ?? 'open');
      return undefined;
    }
  }

  /** Throws a Failure. */
  async #attempt(question: string, asking: Asking): Promise<RatingStatistics> {
    if (asking.attempts === 0) asking.span = questionSpan(this.#url);
    else this.#metrics.retried.add();
    asking.attempts += 1;
    const { STATISTICS_ATTEMPT_TIMEOUT: patience, STATISTICS_RETRY_BASE: base } = this.#config;
    const headers = contextHeaders(asking.span);
    const asked = await ask(Math.min(patience, asking.left()), (signal) =>
      this.#post(question, headers, signal),
    );
    const result = 'answer' in asked ? asked.answer : new Failure('timeout', 'timeout');
    if (!(result instanceof Failure)) return result;
    // There must be time left after the longest pause.
    result.again = result.passing && asking.left() > base * 2 ** (asking.attempts - 1);
    asking.failure = result;
    throw result;
  }

  #end({ span, attempts, failure, began }: Asking, outcome: Outcome): void {
    this.#metrics.called(outcome);
    if (attempts > 0) this.#metrics.duration.observe((performance.now() - began) / 1_000);
    if (outcome !== 'answered') noteAbsence(outcome);
    if (outcome !== 'answered' && failure) span?.failed(failure.type);
    span?.end({
      'tradewind.outcome': outcome,
      ...(attempts > 1 && { 'http.request.resend_count': attempts - 1 }),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#post[Symbol.asyncDispose]();
  }
}

/** One question on its way. */
class Asking {
  readonly began = performance.now();
  readonly #timeoutMs: number;
  attempts = 0;
  /** Of the last attempt. */
  failure: Failure | undefined;
  span: Span | undefined;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** Milliseconds. */
  left(): number {
    return this.began + this.#timeoutMs - performance.now();
  }
}

/** The body of a request. What is no whole number goes as it is, and is refused there. */
function questionOf(counts: Counts): string {
  const ratings = counts.map((count, index) => {
    const number = Number(count);
    return [index + 1, Number.isSafeInteger(number) ? number : String(count)];
  });
  return JSON.stringify({ ratings: Object.fromEntries(ratings) });
}
