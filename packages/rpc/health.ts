import { Code, ConnectError } from '@connectrpc/connect';
import {
  Health,
  type HealthCheckResponse_ServingStatus,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '@tradewind/contracts/third-party/grpc/health/v1/health';
import type { Call } from './call.ts';
import { type Implementation, implement } from './implement.ts';

/** How a service stands. `dependencies` gives a word for each: `ok`, or what is wrong, without addresses or secrets. */
export type HealthReport = {
  /** `degraded` still answers requests. */
  status: 'ready' | 'degraded' | 'unavailable';
  dependencies: Record<string, string>;
};

export type HealthSource = { check(): Promise<HealthReport> };

/** A report younger than this is given again, so that probes cost one question at a time. */
const freshMs = 250;
const watchMs = 1_000;
const checkMs = 3_000;

/** Health as all faces tell it: `/health/ready`, and gRPC's Check, List and Watch. */
export class HealthState {
  readonly #source: HealthSource;
  readonly #watchers = new Set<() => void>();
  #last: { at: number; report: Promise<HealthReport> } | undefined;
  #draining = false;
  #poll: NodeJS.Timeout | undefined;
  #status: HealthCheckResponse_ServingStatus = ServingStatus.UNKNOWN;

  constructor(source: HealthSource) {
    this.#source = source;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** From now on: not ready, whatever the dependencies. Watchers are told at once. */
  drain(): void {
    this.#draining = true;
    this.#tell(ServingStatus.NOT_SERVING);
  }

  async report(): Promise<HealthReport> {
    if (this.#draining) return { status: 'unavailable', dependencies: { server: 'shutting down' } };
    if (this.#last === undefined || performance.now() - this.#last.at > freshMs) {
      this.#last = { at: performance.now(), report: this.#check() };
    }
    const report = await this.#last.report;
    this.#tell(servingStatus(report));
    return report;
  }

  async serving(): Promise<HealthCheckResponse_ServingStatus> {
    await this.report();
    return this.#status;
  }

  /** The status now, then each change, until `signal` aborts. */
  async *watch(signal: AbortSignal): AsyncGenerator<HealthCheckResponse_ServingStatus> {
    let told: HealthCheckResponse_ServingStatus | undefined;
    await this.report();
    while (!signal.aborted) {
      // The signal is asked after the wait is set up, so a change in between is not missed.
      const changed = this.#changed(signal);
      if (told !== this.#status) {
        told = this.#status;
        yield told;
      }
      await changed;
    }
  }

  async #check(): Promise<HealthReport> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<HealthReport>((resolve) => {
      timer = setTimeout(resolve, checkMs, { status: 'unavailable', dependencies: { check: 'timed out' } });
    });
    try {
      return await Promise.race([this.#source.check(), late]);
    } catch {
      return { status: 'unavailable', dependencies: { check: 'failed' } };
    } finally {
      clearTimeout(timer);
    }
  }

  #tell(status: HealthCheckResponse_ServingStatus): void {
    const next = this.#draining ? ServingStatus.NOT_SERVING : status;
    if (next === this.#status) return;
    this.#status = next;
    for (const wake of [...this.#watchers]) wake();
  }

  #changed(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => {
      this.#watchers.delete(wake);
      signal.removeEventListener('abort', wake);
      if (this.#watchers.size === 0) clearInterval(this.#poll);
      resolve();
    };
    // Dependencies are asked in the background only while somebody watches.
    if (this.#watchers.size === 0) this.#poll = setInterval(() => void this.report(), watchMs).unref();
    this.#watchers.add(wake);
    signal.addEventListener('abort', wake);
    return promise;
  }
}

function servingStatus({ status }: HealthReport): HealthCheckResponse_ServingStatus {
  return status === 'unavailable' ? ServingStatus.NOT_SERVING : ServingStatus.SERVING;
}

/** gRPC's health service; `services` gives the names that it knows, besides the server as a whole (""). */
export function healthService(health: HealthState, services: readonly string[]): Implementation {
  const known = (name: string) => name === '' || services.includes(name);
  return implement(Health, {
    async check({ service }: { service: string }) {
      if (!known(service)) throw new ConnectError(`unknown service ${service}`, Code.NotFound);
      return { status: await health.serving() };
    },
    async list() {
      const status = await health.serving();
      return { statuses: Object.fromEntries(['', ...services].map((name) => [name, { status }])) };
    },
    async *watch({ service }: { service: string }, { signal }: Call) {
      if (known(service)) {
        for await (const status of health.watch(signal)) yield { status };
        return;
      }
      yield { status: ServingStatus.SERVICE_UNKNOWN };
      // The protocol wants the stream kept open: the service could become known.
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    },
  });
}
