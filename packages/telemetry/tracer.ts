import type { Tracer } from '@opentelemetry/api';
import { PresetIds } from './ids.ts';

/** How this process traces. */
export interface Tracing {
  /** Whether spans go anywhere. If not, work still has ids, which travel and are logged. */
  readonly exports: boolean;
  /** Whether work below a span that is not recorded never is. */
  readonly parentBased: boolean;
  /** Whether a trace that begins here is recorded. */
  readonly samples: (traceId: string) => boolean;
  readonly tracerOf: (scope: string) => Tracer;
}

/** Of the SDK, once it is started. */
export const ids = new PresetIds();

let started: Tracing | undefined;

/** What is started, if anything is. */
export function tracing(): Tracing | undefined {
  return started;
}

/** Says how this process traces from now on; undefined: not at all any more. */
export function traceWith(how: Tracing | undefined): void {
  started = how;
}
