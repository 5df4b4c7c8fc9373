import type { BatchOutcome } from '@tradewind/messaging/batch';
import type { OwnMetrics } from '@tradewind/service/define';
import type { Counter, Family, Histogram, Metrics } from '@tradewind/telemetry/metrics';
import { kindOf } from './subject.ts';
import { Tallies } from './tallies.ts';

/** Upper bounds, in seconds: from a rating at rest to one that waited for an outage to end, or for a person. */
const WAITS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600, 21_600, 86_400];

/** Counts ratings: as they are accepted, and as they are counted. */
export class Ratings implements OwnMetrics {
  readonly #accepted: Family<Counter>;
  readonly changed: Counter;
  readonly #visible: Histogram;

  constructor(metrics: Metrics) {
    this.#accepted = metrics.counter({
      name: 'tradewind_ratings_accepted_total',
      help: 'Ratings accepted, by what was rated',
      labels: ['kind'],
    });
    for (const kind of ['talk', 'product', 'service-provider']) this.#accepted.at(kind);
    this.changed = metrics
      .counter({ name: 'tradewind_ratings_changed_total', help: 'Ratings that their customers changed' })
      .at();
    this.#visible = metrics
      .histogram(
        {
          name: 'tradewind_ratings_counted_seconds',
          help: 'From the moment when something was rated until it was counted, two clocks apart',
        },
        WAITS,
      )
      .at();
  }

  /** @param subject its id */
  accepted(subject: string): void {
    this.#accepted.at(kindOf(subject)).add();
  }

  committed({ handlings }: BatchOutcome): void {
    const now = Date.now();
    for (const { rows } of handlings)
      if (rows instanceof Tallies)
        for (const ratedAt of rows.ratedAt)
          this.#visible.observe(Math.max(0, now - ratedAt.getTime()) / 1_000);
  }
}
