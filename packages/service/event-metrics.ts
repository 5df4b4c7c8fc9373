import type { BatchOutcome } from '@tradewind/messaging/batch';
import type { GivingUp } from '@tradewind/messaging/dead-letter';
import type { Effort, Watch } from '@tradewind/messaging/watch';
import type { Counter, Family, Histogram, Metrics } from '@tradewind/telemetry/metrics';

const SIZES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];
const REASONS: readonly GivingUp['reason'][] = ['undecodable', 'rejected', 'failed', 'deadly'];
const EFFORTS: readonly Effort['work'][] = ['receive', 'hold', 'give up', 'retry'];

/** Counts what a listener did with events, by topic. Nothing is counted before it has committed, but attempts that failed. */
export class EventMetrics implements Watch {
  readonly #handled: Family<Counter>;
  readonly #repeated: Family<Counter>;
  readonly #held: Family<Counter>;
  readonly #failed: Family<Counter>;
  readonly #dead: Family<Counter>;
  readonly #discarded: Counter;
  readonly #told: Family<Counter>;
  readonly #conflicts: Counter;
  readonly #sizes: Family<Histogram>;
  readonly #batches: Family<Histogram>;
  readonly #handlers: Family<Histogram>;

  constructor(metrics: Metrics) {
    const byTopic = (name: string, help: string) => metrics.counter({ name, help, labels: ['topic'] });
    this.#handled = byTopic('tradewind_events_handled_total', 'Events that took effect');
    this.#repeated = byTopic('tradewind_events_duplicate_total', 'Events that the inbox had seen before');
    this.#held = byTopic(
      'tradewind_events_held_total',
      'Events that had to wait for a retry, their own or one of their key',
    );
    this.#failed = byTopic('tradewind_event_attempts_failed_total', 'Attempts at an event that failed');
    this.#dead = metrics.counter({
      name: 'tradewind_dead_letters_total',
      help: 'Events that were given up on',
      labels: ['topic', 'reason'],
    });
    this.#discarded = metrics
      .counter({
        name: 'tradewind_dead_letters_discarded_total',
        help: 'Dead letters that nobody will redrive',
      })
      .at();
    this.#told = byTopic('tradewind_facts_told_total', 'Facts that handlers told');
    this.#conflicts = metrics
      .counter({
        name: 'tradewind_transaction_conflicts_total',
        help: 'Transactions of the listener that ran again because of another one',
      })
      .at();
    const labels = ['work'];
    const sizes = { name: 'tradewind_batch_events', help: 'Events that a transaction was about', labels };
    this.#sizes = metrics.histogram(sizes, SIZES);
    this.#batches = metrics.histogram({
      name: 'tradewind_batch_duration_seconds',
      help: 'Time of a transaction of the listener, its commit included',
      labels,
    });
    this.#handlers = metrics.histogram({
      name: 'tradewind_handler_duration_seconds',
      help: 'Time that a batch spent in the handler of a topic, with those that share its rows',
      labels: ['topic'],
    });
  }

  /** Makes everything 0 that can happen to these topics: a counter that comes with its first event hides that one from rate(). */
  prepare(topics: readonly string[]): void {
    for (const topic of topics) {
      for (const family of [this.#handled, this.#repeated, this.#held, this.#failed, this.#handlers])
        family.at(topic);
      for (const reason of REASONS) this.#dead.at(topic, reason);
    }
    for (const work of topics.length > 0 ? EFFORTS : [])
      for (const family of [this.#sizes, this.#batches]) family.at(work);
  }

  committed(outcome: BatchOutcome, { work, events, seconds }: Effort): void {
    this.#sizes.at(work).observe(events);
    this.#batches.at(work).observe(seconds);
    for (const handling of outcome.handlings) {
      const found = runs(handling.events);
      for (const [topic, count] of found) this.#handled.at(topic).add(count);
      for (const topic of new Set(found.map(([topic]) => topic)))
        this.#handlers.at(topic).observe(handling.seconds);
    }
    for (const [topic, count] of runs(outcome.repeats)) this.#repeated.at(topic).add(count);
    for (const [topic, count] of runs(outcome.held)) this.#held.at(topic).add(count);
    for (const [{ topic }, { reason }] of outcome.dead) this.#dead.at(topic, reason).add();
    for (const [topic, count] of runs(outcome.facts)) this.#told.at(topic).add(count);
    this.#discarded.add(outcome.discarded);
  }

  failed(topic: string): void {
    this.#failed.at(topic).add();
  }

  conflicted(): void {
    this.#conflicts.add();
  }
}

/** Neighbours of one topic and their number: a batch has few of them, so that its thousand events cost no thousand lookups. */
export function runs(
  items: readonly { readonly topic: string }[],
): (readonly [topic: string, count: number])[] {
  const found: [string, number][] = [];
  let last: [string, number] | undefined;
  for (const { topic } of items) {
    if (last?.[0] !== topic) {
      last = [topic, 0];
      found.push(last);
    }
    last[1] += 1;
  }
  return found;
}
