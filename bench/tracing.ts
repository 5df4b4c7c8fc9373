import { type ByProcess, cpuSeconds, larger, per1000, residents, total } from './accounts.ts';
import { assertCorrect, untilAtRest, untilSettled } from './check.ts';
import type { FloodAnswer, FloodQuestion } from './load.ts';
import { openStage, type RunContext, type Stage } from './stage.ts';
import { median } from './statistics.ts';
import type { SinkAnswer } from './trace-sink.ts';
import { forgetPeak } from './usage.ts';
import { startWorker, type Worker } from './worker.ts';

/** How much of the traces is recorded. */
export const SHARES = ['off', '10 %', '100 %'] as const;
export type Share = (typeof SHARES)[number];

export interface TracingCost {
  readonly settledPerSecond: number;
  /** Median over the rounds of the quotient with the same round's `off`. */
  readonly ratio: number;
  /** Of services, PostgreSQL and clients, for 1,000 sagas; what takes the spans is left out. */
  readonly cpuPer1000: number;
  readonly cpuRatio: number;
  /** MiB of the services at their peak. */
  readonly memory: number;
  /** Bytes a saga that were sent. */
  readonly bytes: number;
}

export type TracingBench = Readonly<Record<Share, TracingCost>>;

interface Round {
  readonly settledPerSecond: number;
  readonly cpuPer1000: number;
}

interface Run {
  readonly share: Share;
  readonly stage: Stage;
  readonly rounds: Round[];
  placed: number;
  peak: ByProcess;
}

export interface TracingOptions {
  readonly orders: number;
  readonly rounds: number;
  readonly clients: number;
}

const ENV: Readonly<Record<Share, Readonly<Record<string, string>>>> = {
  off: { OTEL_TRACES_EXPORTER: 'none' },
  '10 %': { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.1' },
  '100 %': { OTEL_TRACES_SAMPLER: 'parentbased_always_on' },
};

/** The same sagas without, with a tenth of, and with all traces, in turn on three systems; each round begins with another one. */
export async function benchTracing(context: RunContext, options: TracingOptions): Promise<TracingBench> {
  await using scope = new AsyncDisposableStack();
  const sink = scope.use(await startWorker(context.signal, './trace-sink.ts'));
  const { url } = await sink.ask<null, SinkAnswer>(null);
  const runs: Run[] = [];
  for (const share of SHARES) {
    const env = { ...ENV[share], ...(share !== 'off' && { OTEL_EXPORTER_OTLP_ENDPOINT: url }) };
    const stage = await openStage(scope, context, 'postgres', { name: `tracing-${runs.length}`, env });
    runs.push({ share, stage, rounds: [], placed: 0, peak: {} });
  }
  const bytes = new Map<Share, number>();
  context.say('warming up');
  for (const run of runs) {
    await flood(run, Math.max(5_000, options.orders / 2), options.clients, context.signal);
    for (const pid of Object.values(run.stage.pids())) forgetPeak(pid);
  }
  for (let n = 0; n < options.rounds; n++) {
    for (const [i] of runs.entries()) {
      const run = runs[(i + n) % runs.length];
      if (!run) continue;
      const before = await sent(sink);
      run.rounds.push(await flood(run, options.orders, options.clients, context.signal));
      run.peak = larger(run.peak, residents(run.stage, 'peak'));
      bytes.set(run.share, (bytes.get(run.share) ?? 0) + (await sent(sink)) - before);
    }
    const said = runs.map(({ share, rounds }) => `${share}: ${rounds.at(-1)?.settledPerSecond.toFixed(0)}/s`);
    context.say(`round ${n + 1}: ${said.join(', ')}`);
  }
  const [off] = runs;
  return Object.fromEntries(
    runs.map((run) => [
      run.share,
      costOf(run, off ?? run, (bytes.get(run.share) ?? 0) / (options.orders * options.rounds)),
    ]),
  ) as TracingBench;
}

const sent = async (sink: Worker) => (await sink.ask<null, SinkAnswer>(null)).bytes;

function costOf({ rounds, peak }: Run, off: Run, bytes: number): TracingCost {
  const against = (pick: (round: Round) => number) =>
    median(rounds.map((round, n) => pick(round) / pick(off.rounds[n] ?? round)));
  return {
    settledPerSecond: median(rounds.map(({ settledPerSecond }) => settledPerSecond)),
    ratio: against(({ settledPerSecond }) => settledPerSecond),
    cpuPer1000: median(rounds.map(({ cpuPer1000 }) => cpuPer1000)),
    cpuRatio: against(({ cpuPer1000 }) => cpuPer1000),
    memory: total(Object.fromEntries(Object.entries(peak).filter(([name]) => name !== 'postgres'))),
    bytes,
  };
}

async function flood(run: Run, orders: number, clients: number, signal: AbortSignal): Promise<Round> {
  const { stage } = run;
  const before = cpuSeconds(stage);
  const { startedAt } = await stage.load.ask<FloodQuestion, FloodAnswer>({
    kind: 'flood',
    orders,
    clients,
    products: stage.products,
    keys: false,
    customer: 'tracing',
  });
  const settledAt = await untilSettled(stage, signal);
  await untilAtRest(stage, signal);
  const { baseline: _idle, ...used } = per1000(before, cpuSeconds(stage), orders);
  run.placed += orders;
  await assertCorrect(stage, run.placed);
  return { settledPerSecond: (orders / (settledAt - startedAt)) * 1_000, cpuPer1000: total(used) };
}
