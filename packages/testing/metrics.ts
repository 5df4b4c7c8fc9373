/** What a process tells Prometheus. */
export interface Scrape {
  /** Types by family, also of those that have no series yet. */
  readonly families: ReadonlyMap<string, string>;
  /** The labels that the series of a name have, besides `le`. */
  labelsOf(name: string): ReadonlySet<string>;
  /** The series with these labels and any others; undefined when there is none or several. */
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined;
  /** All series of a name, by their labels but for `service`, as Prometheus writes them. */
  all(name: string): Readonly<Record<string, number>>;
  readonly text: string;
}

const SERIES = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** Asks `/metrics` of a service. */
export async function scrape(url: string): Promise<Scrape> {
  const response = await fetch(`${url}/metrics`);
  const text = await response.text();
  if (response.status !== 200) throw new Error(`/metrics answered ${response.status}: ${text}`);
  const families = new Map(
    [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => [name, type]),
  );
  const series = text.split('\n').flatMap((line) => {
    const [, name = '', labels = '', value] = SERIES.exec(line) ?? [];
    if (value === undefined) return [];
    const entries = [...labels.matchAll(LABEL)].map(([, key = '', text = '']) => [key, text] as const);
    return [{ name, labels: new Map(entries), value: Number(value) }];
  });
  const named = (wanted: string) => series.filter(({ name }) => name === wanted);
  return {
    families,
    text,
    labelsOf: (name) => new Set(named(name).flatMap(({ labels }) => [...labels.keys()])),
    value(name, labels = {}) {
      const found = named(name).filter((one) =>
        Object.entries(labels).every(([key, value]) => one.labels.get(key) === value),
      );
      return found.length === 1 ? found[0]?.value : undefined;
    },
    all: (name) =>
      Object.fromEntries(
        named(name).map(({ labels, value }) => {
          const own = [...labels].filter(([key]) => key !== 'service');
          return [own.map(([key, text]) => `${key}="${text}"`).join(','), value];
        }),
      ),
  };
}
