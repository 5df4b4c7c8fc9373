import type { DescMethod } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Metrics } from '@tradewind/telemetry/metrics';
import { clientDurations, type Durations } from './metrics.ts';

/** Passes a call's answer on and counts it. */
export type MeasureCall = <T>(method: DescMethod, answer: Promise<T>) => Promise<T>;

/** Counts the unary calls of a client, by method and code. */
export function measureCalls(metrics: Metrics): MeasureCall {
  const durations = clientDurations(metrics);
  const byMethod = new Map<DescMethod, Durations>();
  const durationsOf = (method: DescMethod) => {
    const known = byMethod.get(method);
    if (known) return known;
    const made = durations(`${method.parent.typeName}/${method.name}`);
    byMethod.set(method, made);
    return made;
  };
  return async (method, answer) => {
    const began = performance.now();
    const count = (code: number) => durationsOf(method).observe(code, (performance.now() - began) / 1_000);
    try {
      const answered = await answer;
      count(0);
      return answered;
    } catch (error) {
      count(error instanceof ConnectError ? error.code : Code.Unknown);
      throw error;
    }
  };
}
