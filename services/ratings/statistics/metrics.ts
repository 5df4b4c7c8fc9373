import type { Counter, Histogram, Metrics } from '@tradewind/telemetry/metrics';

/** What became of a question. `shared` is one that somebody else had asked and not been answered yet. */
export const OUTCOMES = ['answered', 'shared', 'timeout', 'unreachable', 'refused', 'wrong', 'open'] as const;
export type Outcome = (typeof OUTCOMES)[number];

export const BREAKER_STATES = ['closed', 'open', 'half_open'] as const;
export type BreakerState = (typeof BREAKER_STATES)[number];

/** Counts what is asked of the statistics function, and how that went. */
export class StatisticsMetrics {
  /** Attempts after the first one. */
  readonly retried: Counter;
  readonly opened: Counter;
  /** Of questions that were sent, retries and pauses included, in seconds. */
  readonly duration: Histogram;
  /** Of the process's client, which sets it. */
  breaker: () => BreakerState = () => 'closed';
  readonly #calls: Readonly<Record<Outcome, Counter>>;

  constructor(metrics: Metrics) {
    const counter = (name: string, help: string) => metrics.counter({ name, help }).at();
    this.retried = counter(
      'tradewind_statistics_retries_total',
      'Attempts at the statistics function after the first',
    );
    this.opened = counter(
      'tradewind_statistics_breaker_opened_total',
      'How often the statistics function was given up for a while',
    );
    this.duration = metrics
      .histogram({
        name: 'tradewind_statistics_call_duration_seconds',
        help: 'Questions that were sent to the statistics function, retries included',
      })
      .at();
    const calls = metrics.counter({
      name: 'tradewind_statistics_calls_total',
      help: 'Questions for the statistics function, by what became of them',
      labels: ['outcome'],
    });
    this.#calls = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, calls.at(outcome)])) as Record<
      Outcome,
      Counter
    >;
    metrics.gauge(
      {
        name: 'tradewind_statistics_breaker_state',
        help: '1 for the state that the circuit breaker is in',
        labels: ['state'],
      },
      () => BREAKER_STATES.map((state) => ({ value: state === this.breaker() ? 1 : 0, labels: [state] })),
    );
  }

  called(outcome: Outcome): void {
    this.#calls[outcome].add();
  }
}
