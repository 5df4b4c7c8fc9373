import { collectDefaultMetrics, type Metric, Registry } from 'prom-client';
import {
  type About,
  Counter,
  counterSamples,
  Family,
  Histogram,
  histogramSamples,
  type Sample,
} from './cells.ts';

export type { About, Counter, Family, Histogram } from './cells.ts';

/** Upper bounds of durations of calls and transactions, in seconds. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** What a gauge shows now, with the values of its labels. */
export interface Reading {
  readonly value: number;
  readonly labels?: readonly string[];
}

/** What `/metrics` of a process tells: Node's own numbers, and those that its parts count. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #families = new Map<string, Family<unknown>>();
  readonly #own = new Map<unknown, unknown>();

  /** @param service told with every number */
  constructor(service: string) {
    this.#registry.setDefaultLabels({ service });
    collectDefaultMetrics({ register: this.#registry });
  }

  /** A family of counters; the same for everybody who names it. */
  counter(about: About): Family<Counter> {
    return this.#family('counter', about, () => new Counter(), counterSamples);
  }

  /** A family of histograms; the same for everybody who names it. `bounds` in the unit of its name, seconds when left out. */
  histogram(about: About, bounds: readonly number[] = SECONDS): Family<Histogram> {
    return this.#family('histogram', about, () => new Histogram(bounds), histogramSamples);
  }

  /** A gauge that is read at each scrape. What can't be read is not told: nothing is better than something wrong. */
  gauge(about: About, read: () => readonly Reading[] | Promise<readonly Reading[]>): void {
    this.#read('gauge', about, read);
  }

  /** A counter that somebody else keeps, read at each scrape. */
  counted(about: About, read: () => number): void {
    this.#read('counter', about, () => [{ value: read() }]);
  }

  #read(type: string, about: About, read: () => readonly Reading[] | Promise<readonly Reading[]>): void {
    const { labels: names = [] } = about;
    this.#register(type, about, async () => {
      const readings = await read();
      return readings.map(({ value, labels = [] }) => ({
        labels: Object.fromEntries(names.map((name, n) => [name, labels[n] ?? ''])),
        value,
      }));
    });
  }

  /** The process's one of a class of metrics. */
  of<Own>(Class: new (metrics: Metrics) => Own): Own {
    const known = this.#own.get(Class) as Own | undefined;
    if (known) return known;
    const made = new Class(this);
    this.#own.set(Class, made);
    return made;
  }

  /** Prometheus text format, version 0.0.4. */
  async text(): Promise<string> {
    return await this.#registry.metrics();
  }

  #family<Cell>(
    type: string,
    about: About,
    make: () => Cell,
    samples: (family: Family<Cell>) => Sample[],
  ): Family<Cell> {
    const known = this.#families.get(about.name) as Family<Cell> | undefined;
    if (known) return known;
    const family = new Family(about, make);
    this.#families.set(about.name, family as Family<unknown>);
    this.#register(type, about, async () => samples(family));
    return family;
  }

  /** What the registry asks of a metric is this, whatever its type says. */
  #register(type: string, { name, help }: About, read: () => Promise<readonly Sample[]>): void {
    const get = async () => ({
      name,
      help,
      type,
      aggregator: 'sum',
      values: await read().catch(() => []),
    });
    this.#registry.registerMetric({ name, help, get } as unknown as Metric);
  }
}
