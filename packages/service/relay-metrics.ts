import type { EventLog, LogRecord, Producer } from '@tradewind/messaging/log';
import type { Counter, Family, Histogram, Metrics } from '@tradewind/telemetry/metrics';
import { runs } from './event-metrics.ts';

const SIZES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000];

/** Counts what the relay sends, where it hands it to the log. */
export class RelayMetrics {
  readonly #sent: Family<Counter>;
  readonly #appends: Histogram;
  readonly #sizes: Histogram;

  constructor(metrics: Metrics) {
    this.#sent = metrics.counter({
      name: 'tradewind_relay_facts_sent_total',
      help: 'Facts that the relay has put on the log',
      labels: ['topic'],
    });
    this.#appends = metrics
      .histogram({
        name: 'tradewind_relay_append_duration_seconds',
        help: 'Time until the log has acknowledged what a turn of the relay sends',
      })
      .at();
    const sizes = { name: 'tradewind_relay_append_facts', help: 'Facts that a turn of the relay sends' };
    this.#sizes = metrics.histogram(sizes, SIZES).at();
  }

  prepare(topics: readonly string[]): void {
    for (const topic of topics) this.#sent.at(topic);
  }

  /** The log as the relay is to have it. */
  measured(log: Pick<EventLog, 'producer' | 'system'>): Pick<EventLog, 'producer' | 'system'> {
    return { system: log.system, producer: async () => this.#measured(await log.producer()) };
  }

  #measured(producer: Producer): Producer {
    return {
      append: async (records) => {
        const began = performance.now();
        const positions = await producer.append(records);
        this.#sentNow(records, (performance.now() - began) / 1_000);
        return positions;
      },
      [Symbol.asyncDispose]: () => producer[Symbol.asyncDispose](),
    };
  }

  #sentNow(records: readonly LogRecord[], seconds: number): void {
    this.#appends.observe(seconds);
    this.#sizes.observe(records.length);
    for (const [topic, count] of runs(records)) this.#sent.at(topic).add(count);
  }
}
