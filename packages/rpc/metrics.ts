import { Code } from '@connectrpc/connect';
import type { Family, Histogram, Metrics } from '@tradewind/telemetry/metrics';

const codeNames = new Map(Object.entries(Code).map(([name, code]) => [code as number, snake(name)]));

function snake(name: string): string {
  return name.replace(/[a-z](?=[A-Z])/g, '$&_').toUpperCase();
}

/** The name of a code as gRPC writes it: OK for 0, NOT_FOUND for 5. */
export function codeName(code: number): string {
  return code === 0 ? 'OK' : (codeNames.get(code) ?? 'UNKNOWN');
}

/** Counts and durations of one thing that is asked, by how it ended: a number such as a code. */
export class Durations {
  readonly #family: Family<Histogram>;
  readonly #labels: readonly string[];
  readonly #nameOf: (end: number) => string;
  readonly #byEnd = new Map<number, Histogram>();

  /** `labels` but for the last one, which is the end as `nameOf` writes it. */
  constructor(family: Family<Histogram>, labels: readonly string[], nameOf: (end: number) => string) {
    this.#family = family;
    this.#labels = labels;
    this.#nameOf = nameOf;
  }

  observe(end: number, seconds: number): void {
    let durations = this.#byEnd.get(end);
    if (durations === undefined) {
      durations = this.#family.at(...this.#labels, this.#nameOf(end));
      this.#byEnd.set(end, durations);
    }
    durations.observe(seconds);
  }
}

/** Of one method on one face, by code; 0 is OK. */
export function methodDurations(metrics: Metrics, method: string, face: string): Durations {
  const family = metrics.histogram({
    name: 'rpc_server_duration_seconds',
    help: 'Time from request to answer',
    labels: ['method', 'face', 'code'],
  });
  return new Durations(family, [method, face], codeName);
}

/** Of the methods of other services, as their caller sees them: with waiting for a connection and all retries. */
export function clientDurations(metrics: Metrics): (method: string) => Durations {
  const family = metrics.histogram({
    name: 'tradewind_rpc_client_duration_seconds',
    help: 'Time from a call of another service to its answer, retries included',
    labels: ['method', 'code'],
  });
  return (method) => new Durations(family, [method], codeName);
}

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** A request's method as a label: over HTTP/2 a caller can make up others. */
export function methodLabel(method = ''): string {
  return METHODS.has(method) ? method : 'other';
}

/** Of one route and HTTP method, by status. */
export function routeDurations(metrics: Metrics, route: string, method: string): Durations {
  const family = metrics.histogram({
    name: 'tradewind_http_server_duration_seconds',
    help: 'Time from an HTTP request to the end of its answer',
    labels: ['route', 'method', 'status'],
  });
  return new Durations(family, [route, method], String);
}
