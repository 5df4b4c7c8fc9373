import { assertCorrect, untilAtRest } from './check.ts';
import type { PaceAnswer, PaceQuestion } from './load.ts';
import type { PerLog } from './options.ts';
import { Counter } from './sagas.ts';
import type { Stage } from './stage.ts';
import { type Spread, spread } from './statistics.ts';

/** Latency at a fixed rate, from the moment at which each request was due: a late server does not slow the clients down. */
export interface Latency {
  /** Orders a second. */
  readonly rate: number;
  readonly seconds: number;
  /** From due to 201, milliseconds. */
  readonly acceptedMs: Spread;
  /** From due to settled, milliseconds, looked at every two milliseconds. */
  readonly settledMs: Spread;
}

export interface LatencyOptions {
  readonly rates: readonly number[];
  readonly seconds: number;
  readonly clients: number;
  readonly keys: boolean;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/** Each rate on each stage in turn. */
export async function benchLatency(
  stages: readonly Stage[],
  counters: ReadonlyMap<Stage, Counter>,
  options: LatencyOptions,
): Promise<PerLog<readonly Latency[]>> {
  const done = stages.map((stage) => ({ stage, counter: counters.get(stage), latencies: [] as Latency[] }));
  for (const rate of options.rates) {
    for (const { stage, counter, latencies } of done)
      latencies.push(await paced(stage, counter ?? new Counter(), rate, options));
  }
  return Object.fromEntries(done.map(({ stage, latencies }) => [stage.log, latencies]));
}

async function paced(
  stage: Stage,
  counter: Counter,
  rate: number,
  { seconds, clients, keys, signal, say }: LatencyOptions,
): Promise<Latency> {
  say(`${rate} orders a second for ${seconds} s on ${stage.log}`);
  const ask = (seconds: number, customer: string) => {
    counter.placed += rate * seconds;
    return stage.load.ask<PaceQuestion, PaceAnswer>({
      kind: 'pace',
      rate,
      orders: rate * seconds,
      clients,
      keys,
      products: stage.products,
      customer,
    });
  };
  await ask(2, `warm-${rate}`);
  const { accepted, settled } = await ask(seconds, `pace-${rate}`);
  await untilAtRest(stage, signal);
  await assertCorrect(stage, counter.placed);
  return { rate, seconds, acceptedMs: spread(accepted), settledMs: spread(settled) };
}
