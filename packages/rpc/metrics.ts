import { Code } from '@connectrpc/connect';
import { collectDefaultMetrics, Registry } from 'prom-client';

/** Upper bounds of the duration histogram, in seconds. */
const bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

type Series = { count: number; sum: number; buckets: number[] };

/** Counts and durations of one method on one face, by code. Plain numbers: a label lookup per call would cost more. */
export class MethodMetrics {
  readonly method: string;
  readonly face: string;
  readonly series = new Map<number, Series>();

  constructor(method: string, face: string) {
    this.method = method;
    this.face = face;
  }

  /** `code` 0 is OK. */
  observe(code: number, seconds: number): void {
    let series = this.series.get(code);
    if (series === undefined) {
      series = { count: 0, sum: 0, buckets: bounds.map(() => 0) };
      this.series.set(code, series);
    }
    series.count += 1;
    series.sum += seconds;
    const index = bounds.findIndex((bound) => seconds <= bound);
    if (index >= 0) series.buckets[index] = (series.buckets[index] ?? 0) + 1;
  }
}

const codeNames = new Map(Object.entries(Code).map(([name, code]) => [code as number, snake(name)]));

function snake(name: string): string {
  return name.replace(/[a-z](?=[A-Z])/g, '$&_').toUpperCase();
}

/** The name of a code as gRPC writes it: OK for 0, NOT_FOUND for 5. */
export function codeName(code: number): string {
  return code === 0 ? 'OK' : (codeNames.get(code) ?? 'UNKNOWN');
}

/** What `/metrics` tells: the process's own numbers, and each method's. */
export class Metrics {
  readonly #methods: MethodMetrics[] = [];
  readonly #registry = new Registry();

  constructor(labels: Record<string, string>) {
    this.#registry.setDefaultLabels(labels);
    collectDefaultMetrics({ register: this.#registry });
  }

  method(name: string, face: string): MethodMetrics {
    const metrics = new MethodMetrics(name, face);
    this.#methods.push(metrics);
    return metrics;
  }

  /** Prometheus text format, version 0.0.4. */
  async text(): Promise<string> {
    return `${await this.#registry.metrics()}\n${this.#rpc()}`;
  }

  #rpc(): string {
    const name = 'rpc_server_duration_seconds';
    const lines = [`# HELP ${name} Time from request to answer.`, `# TYPE ${name} histogram`];
    for (const { method, face, series } of this.#methods) {
      for (const [code, { count, sum, buckets }] of series) {
        const labels = `method="${method}",face="${face}",code="${codeName(code)}"`;
        let below = 0;
        buckets.forEach((bucket, index) => {
          below += bucket;
          lines.push(`${name}_bucket{${labels},le="${bounds[index]}"} ${below}`);
        });
        lines.push(`${name}_bucket{${labels},le="+Inf"} ${count}`);
        lines.push(`${name}_sum{${labels}} ${sum}`, `${name}_count{${labels}} ${count}`);
      }
    }
    return `${lines.join('\n')}\n`;
  }
}
