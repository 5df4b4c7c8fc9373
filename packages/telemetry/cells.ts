/** What a family of metrics has in common. Names and units as Prometheus' conventions have them; labels have few values, never an id. */
export interface About {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
}

/** One line of a scrape. */
export interface Sample {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  /** Where it is not the family's. */
  readonly metricName?: string;
}

/** A number that only grows. */
export class Counter {
  value = 0;

  add(more = 1): void {
    this.value += more;
  }
}

/** Counts values by upper bounds. */
export class Histogram {
  readonly bounds: readonly number[];
  /** Of each bound, the values up to it and above the one before. */
  readonly counts: number[];
  count = 0;
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = bounds.map(() => 0);
  }

  observe(value: number): void {
    this.count += 1;
    this.sum += value;
    const index = this.bounds.findIndex((bound) => value <= bound);
    if (index >= 0) this.counts[index] = (this.counts[index] ?? 0) + 1;
  }
}

/**
 * The cells of a metric by their labels. Whoever counts often keeps his cell: it is a plain number, and finding it for each call would cost more
 * than the counting.
 */
export class Family<Cell> {
  readonly about: About;
  readonly #make: () => Cell;
  readonly #cells = new Map<string, readonly [readonly string[], Cell]>();

  constructor(about: About, make: () => Cell) {
    this.about = about;
    this.#make = make;
  }

  /** The cell of these values, in the order of the labels; told from now on. */
  at(...values: readonly string[]): Cell {
    const name = values.join('\n');
    const known = this.#cells.get(name);
    if (known) return known[1];
    const { name: family, labels = [] } = this.about;
    if (values.length !== labels.length) throw new Error(`${family} has the labels ${labels.join(', ')}`);
    const cell = this.#make();
    this.#cells.set(name, [values, cell]);
    return cell;
  }

  /** All cells, each with its labels by name. */
  *cells(): Generator<readonly [Readonly<Record<string, string>>, Cell]> {
    const { labels = [] } = this.about;
    for (const [values, cell] of this.#cells.values())
      yield [Object.fromEntries(labels.map((label, n) => [label, values[n] ?? ''])), cell];
  }
}

export function counterSamples(family: Family<Counter>): Sample[] {
  return [...family.cells()].map(([labels, { value }]) => ({ labels, value }));
}

export function histogramSamples(family: Family<Histogram>): Sample[] {
  const { name } = family.about;
  return [...family.cells()].flatMap(([labels, { bounds, counts, count, sum }]) => {
    let below = 0;
    return [
      ...bounds.map((le, n) => {
        below += counts[n] ?? 0;
        return { labels: { ...labels, le }, value: below, metricName: `${name}_bucket` };
      }),
      { labels: { ...labels, le: '+Inf' }, value: count, metricName: `${name}_bucket` },
      { labels, value: sum, metricName: `${name}_sum` },
      { labels, value: count, metricName: `${name}_count` },
    ];
  });
}
