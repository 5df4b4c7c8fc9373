import { type ByProcess, cpuSeconds, larger, per1000, residents } from './accounts.ts';
import type { BaselineAnswer, BaselineQuestion } from './baseline.ts';
import { assertCorrect, untilAtRest, untilSettled } from './check.ts';
import type { FloodAnswer, FloodQuestion } from './load.ts';
import type { PerLog } from './options.ts';
import type { Stage } from './stage.ts';
import { median, type Spread, spread } from './statistics.ts';
import { forgetPeak } from './usage.ts';

/** One round: as many sagas as commits of the baseline, one after the other, each in turn first. */
export interface Round {
  readonly acceptedPerSecond: number;
  /** From the first request to the last order settled. */
  readonly settledPerSecond: number;
  /** Of the baseline. */
  readonly commitsPerSecond: number;
  /** Settled sagas per commit of the baseline. */
  readonly ratio: number;
  /** From request to 201, in milliseconds, with every client busy. */
  readonly answerMs: Spread;
  /** CPU seconds of each process for 1,000 sagas; `load` is the client's own. */
  readonly cpuPer1000: Readonly<Record<string, number>>;
  /** The same for 1,000 commits of the baseline: its process and PostgreSQL. */
  readonly baselineCpuPer1000: Readonly<Record<string, number>>;
}

/** MiB by process, and of all of them: resident, but of PostgreSQL each process's part of what its processes share. */
export interface Memory {
  readonly idle: Readonly<Record<string, number>>;
  readonly peak: Readonly<Record<string, number>>;
}

export interface Sagas {
  readonly orders: number;
  readonly clients: number;
  /** Whether each order carried an Idempotency-Key. */
  readonly keys: boolean;
  readonly rounds: readonly Round[];
  readonly ratio: number;
  readonly settledPerSecond: number;
  readonly acceptedPerSecond: number;
  readonly commitsPerSecond: number;
  readonly memory: Memory;
}

export interface SagasOptions {
  readonly orders: number;
  readonly rounds: number;
  readonly clients: number;
  readonly keys: boolean;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/** Counts what was placed on a stage, for the check after each round. */
export class Counter {
  placed = 0;
}

/** Settled sagas a second against the baseline's commits, interleaved, after a warm-up of both; the stages take turns, too. */
export async function benchSagas(
  stages: readonly Stage[],
  counters: ReadonlyMap<Stage, Counter>,
  options: SagasOptions,
): Promise<PerLog<Sagas>> {
  const runs = [];
  for (const stage of stages) {
    const counter = counters.get(stage) ?? new Counter();
    runs.push({ stage, counter, idle: await warmUp(stage, counter, options), done: [] as Round[], peak: {} });
  }
  for (let n = 0; n < options.rounds; n++) {
    for (const run of runs) {
      const round = await interleaved(run.stage, run.counter, options, n);
      run.peak = larger(run.peak, residents(run.stage, 'peak'));
      run.done.push(round);
      options.say(
        `round ${n + 1}, ${run.stage.log}: ${round.settledPerSecond.toFixed(0)} sagas/s settled, baseline ${round.commitsPerSecond.toFixed(0)} commits/s, ratio ${round.ratio.toFixed(2)}`,
      );
    }
  }
  return Object.fromEntries(
    runs.map(({ stage, done, idle, peak }) => [stage.log, summary(options, done, { idle, peak })]),
  );
}

/** What the compilers and caches take, out of the way; resolves with the memory before. */
async function warmUp(stage: Stage, counter: Counter, options: SagasOptions): Promise<ByProcess> {
  const idle = residents(stage, 'now');
  const warm = { ...options, orders: Math.max(5_000, Math.ceil(options.orders / 2)) };
  options.say(`warming up on ${stage.log}: ${warm.orders} orders and commits`);
  await floodRound(stage, counter, warm, 'warm-up');
  await baselineRound(stage, warm);
  await stage.look.order.query('CHECKPOINT');
  for (const pid of Object.values(stage.pids())) forgetPeak(pid);
  return idle;
}

function summary({ orders, clients, keys }: SagasOptions, rounds: readonly Round[], memory: Memory): Sagas {
  const middle = (pick: (round: Round) => number) => median(rounds.map(pick));
  return {
    orders,
    clients,
    keys,
    rounds,
    ratio: middle(({ ratio }) => ratio),
    settledPerSecond: middle(({ settledPerSecond }) => settledPerSecond),
    acceptedPerSecond: middle(({ acceptedPerSecond }) => acceptedPerSecond),
    commitsPerSecond: middle(({ commitsPerSecond }) => commitsPerSecond),
    memory,
  };
}

async function interleaved(stage: Stage, counter: Counter, options: SagasOptions, n: number): Promise<Round> {
  if (n % 2 === 1) {
    const baseline = await baselineRound(stage, options);
    return together(await floodRound(stage, counter, options, `round-${n}`), baseline);
  }
  const sagas = await floodRound(stage, counter, options, `round-${n}`);
  return together(sagas, await baselineRound(stage, options));
}

type Baseline = Pick<Round, 'commitsPerSecond' | 'baselineCpuPer1000'>;
type Flood = Omit<Round, keyof Baseline | 'ratio'>;

function together(sagas: Flood, baseline: Baseline): Round {
  return { ...sagas, ...baseline, ratio: sagas.settledPerSecond / baseline.commitsPerSecond };
}

/** Places the orders, waits for all of them, checks the books. */
async function floodRound(
  stage: Stage,
  counter: Counter,
  options: SagasOptions,
  customer: string,
): Promise<Flood> {
  const { orders, clients, keys, signal } = options;
  const { load, products } = stage;
  const before = cpuSeconds(stage);
  const { startedAt, answeredAt, latencies } = await load.ask<FloodQuestion, FloodAnswer>({
    kind: 'flood',
    orders,
    clients,
    products,
    keys,
    customer,
  });
  const settledAt = await untilSettled(stage, signal);
  await untilAtRest(stage, signal);
  const { baseline: _idle, ...cpuPer1000 } = per1000(before, cpuSeconds(stage), orders);
  counter.placed += orders;
  await assertCorrect(stage, counter.placed);
  return {
    acceptedPerSecond: (orders / (answeredAt - startedAt)) * 1_000,
    settledPerSecond: (orders / (settledAt - startedAt)) * 1_000,
    answerMs: spread(latencies),
    cpuPer1000,
  };
}

/** Commits, and afterwards, outside of the time, an empty outbox. */
async function baselineRound(stage: Stage, { orders, clients }: SagasOptions): Promise<Baseline> {
  const { baseline, look } = stage;
  const before = cpuSeconds(stage);
  const { startedAt, endedAt } = await baseline.ask<BaselineQuestion, BaselineAnswer>({
    commits: orders,
    connections: clients,
  });
  const { postgres, baseline: client } = per1000(before, cpuSeconds(stage), orders);
  await look.baseline.query('TRUNCATE outbox');
  return {
    commitsPerSecond: (orders / (endedAt - startedAt)) * 1_000,
    baselineCpuPer1000: { postgres: postgres ?? 0, baseline: client ?? 0 },
  };
}
