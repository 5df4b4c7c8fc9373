import type { BatchOutcome } from '@tradewind/messaging/batch';
import type { DatabaseGauges } from '@tradewind/service/database-gauges';
import type { OwnMetrics } from '@tradewind/service/define';
import type { Counter, Family, Histogram, Metrics } from '@tradewind/telemetry/metrics';
import { Orders } from './orders.ts';

/** How a saga ended. The reason on the order is for people; these few are for counting. */
const ENDS = {
  confirmed: ['confirmed', ''],
  outOfStock: ['canceled', 'out_of_stock'],
  unknownProduct: ['canceled', 'unknown_product'],
  customer: ['canceled', 'customer'],
  timedOut: ['canceled', 'timed_out'],
  unknownOrder: ['canceled', 'unknown_order'],
} as const;
export type End = keyof typeof ENDS;

/** A saga that came to its end in a transaction. */
export interface Settled {
  readonly end: End;
  /** Since the order was accepted, by the database's clock; undefined when nobody accepted it. */
  readonly seconds: number | undefined;
}

/** Upper bounds, in seconds: from a saga at rest to the deadline of a day. */
const DURATIONS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600, 21_600, 86_400];

/** Counts sagas, from the accepted order to its first end, each once and only after the commit. */
export class Sagas implements OwnMetrics {
  readonly started: Counter;
  /** Orders that were told again, because nobody had answered. */
  readonly toldAgain: Counter;
  /** Confirmed orders that their customers canceled: their sagas had ended before. */
  readonly undone: Counter;
  readonly #settled: Readonly<Record<End, Counter>>;
  readonly #durations: Family<Histogram>;

  constructor(metrics: Metrics) {
    const counter = (name: string, help: string) => metrics.counter({ name, help }).at();
    this.started = counter('tradewind_sagas_started_total', 'Orders accepted');
    this.toldAgain = counter('tradewind_sagas_told_again_total', 'Late orders told to stock once more');
    this.undone = counter('tradewind_sagas_undone_total', 'Confirmed orders that their customers canceled');
    const settled = metrics.counter({
      name: 'tradewind_sagas_settled_total',
      help: 'Orders that were confirmed or canceled while they were pending, and why',
      labels: ['outcome', 'reason'],
    });
    const cells = Object.entries(ENDS).map(([end, labels]) => [end, settled.at(...labels)] as const);
    this.#settled = Object.fromEntries(cells) as Record<End, Counter>;
    this.#durations = metrics.histogram(
      {
        name: 'tradewind_saga_duration_seconds',
        help: "From the order's acceptance to its end, both as the database's clock has them",
        labels: ['outcome'],
      },
      DURATIONS,
    );
    for (const [outcome] of Object.values(ENDS)) this.#durations.at(outcome);
  }

  settled({ end, seconds }: Settled): void {
    this.#settled[end].add();
    if (seconds !== undefined) this.#durations.at(ENDS[end][0]).observe(seconds);
  }

  committed({ handlings }: BatchOutcome): void {
    for (const { rows } of handlings)
      if (rows instanceof Orders) for (const settled of rows.settled) this.settled(settled);
  }
}

/** Sagas under way. Orders pass through PENDING in a moment, so there are few unless something is wrong; then it is enough to know how wrong. */
export const pendingSagas: DatabaseGauges = {
  sql: `
    SELECT count(*)::int AS pending, coalesce(extract(epoch FROM clock_timestamp() - min(accepted_at))::float8, 0) AS oldest
    FROM (SELECT accepted_at FROM orders WHERE status = 'PENDING' ORDER BY waits_since LIMIT 20000) AS orders`,
  gauges: {
    pending: { name: 'tradewind_sagas_pending', help: 'Orders that are pending, up to 20000' },
    oldest: {
      name: 'tradewind_saga_oldest_pending_age_seconds',
      help: 'Since when the oldest of them is pending; 0 without any',
    },
  },
};
