import { total } from './accounts.ts';
import type { Latency } from './latency.ts';
import type { LogBench } from './log.ts';
import { LOGS, type PerLog } from './options.ts';
import type { RatingsBench } from './ratings.ts';
import type { Ready } from './ready.ts';
import type { RelayBench } from './relay.ts';
import { type Line, ms, ratio, whole } from './report-line.ts';
import { ratingLines } from './report-ratings.ts';
import type { BenchResult } from './rpc.ts';
import type { Memory, Sagas } from './sagas.ts';
import { median } from './statistics.ts';
import { SHARES, type TracingBench } from './tracing.ts';

/** What was measured, as it is written to the JSON file. */
export interface Results {
  readonly startedAt: string;
  readonly machine: Readonly<Record<string, string | number>>;
  sagas?: PerLog<Sagas>;
  latency?: PerLog<readonly Latency[]>;
  relay?: PerLog<RelayBench>;
  rpc?: BenchResult;
  log?: PerLog<LogBench>;
  ready?: Ready;
  tracing?: TracingBench;
  ratings?: PerLog<RatingsBench>;
}

/** The table, for people. */
export function format(
  results: Results,
  show: { readonly memory: boolean; readonly sagas: boolean },
): string {
  const { sagas, latency, relay, rpc, log, ready, tracing, ratings } = results;
  const lines: Line[] = [
    ['', 'Tradewind', 'yardstick', 'ratio'],
    ...LOGS.flatMap((name) => {
      const part = {
        sagas: sagas?.[name],
        relay: relay?.[name],
        log: log?.[name],
        ratings: ratings?.[name],
      };
      const own: Line[] = [
        ...(part.sagas && show.sagas ? sagaLines(part.sagas) : []),
        ...(latency?.[name] ?? []).map(latencyLine),
        ...(part.relay ? relayLines(part.relay) : []),
        ...(part.log ? logLines(part.log) : []),
        ...(part.ratings ? ratingLines(part.ratings) : []),
        ...(part.sagas && show.memory ? memoryLines(part.sagas.memory) : []),
      ];
      return own.length > 0 ? [[`-- event log: ${name}`] as const, ...own] : [];
    }),
    ...(rpc || ready ? [['-- any event log'] as const] : []),
    ...(rpc ? rpcLines(rpc) : []),
    ...(ready ? readyLines(ready) : []),
    ...(tracing ? tracingLines(tracing) : []),
  ];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...lines.map((line) => (line[column] ?? '').length)));
  return lines
    .map((line) =>
      widths
        .map((width, n) => (n === 0 ? (line[n] ?? '').padEnd(width) : (line[n] ?? '').padStart(width)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function sagaLines({
  rounds,
  ratio: middle,
  settledPerSecond,
  acceptedPerSecond,
  commitsPerSecond,
  clients,
}: Sagas): Line[] {
  const of = (pick: (round: (typeof rounds)[number]) => number) => median(rounds.map(pick));
  const ratios = rounds.map((round) => round.ratio);
  const names = Object.keys(rounds[0]?.cpuPer1000 ?? {});
  const cpu = names.map((name) => [name, of(({ cpuPer1000 }) => cpuPer1000[name] ?? 0)] as const);
  const all = of(({ cpuPer1000 }) => total(cpuPer1000));
  const yardstick = of(({ baselineCpuPer1000 }) => total(baselineCpuPer1000));
  return [
    [
      `sagas settled/s, ${clients} clients (yardstick: commits/s of node-pg)`,
      whole(settledPerSecond),
      whole(commitsPerSecond),
      ratio(middle),
    ],
    [
      '  lowest and highest ratio of a round',
      '',
      '',
      `${ratio(Math.min(...ratios))}–${ratio(Math.max(...ratios))}`,
    ],
    ['orders accepted/s', whole(acceptedPerSecond)],
    [
      '  answer p50 / p99, ms, every client busy',
      `${ms(of(({ answerMs }) => answerMs.p50))} / ${ms(of(({ answerMs }) => answerMs.p99))}`,
    ],
    ['CPU s for 1,000, clients included', all.toFixed(3), yardstick.toFixed(3), ratio(yardstick / all)],
    ...cpu.map(([name, seconds]): Line => [`  ${name}`, seconds.toFixed(3)]),
  ];
}

function latencyLine({ rate, settledMs, acceptedMs }: Latency): Line {
  return [
    `at ${whole(rate)}/s: due to settled p50 / p99, ms (to 201: ${ms(acceptedMs.p50)} / ${ms(acceptedMs.p99)})`,
    `${ms(settledMs.p50)} / ${ms(settledMs.p99)}`,
  ];
}

function relayLines({
  eventsPerSecond,
  plainPerSecond,
  ratio: middle,
  cpuMicros,
  plainCpuMicros,
}: RelayBench): Line[] {
  return [
    [
      'relay events/s (yardstick: SELECT, INSERT, DELETE by 2,000)',
      whole(eventsPerSecond),
      whole(plainPerSecond),
      ratio(middle),
    ],
    [
      '  CPU µs an event, without PostgreSQL',
      cpuMicros.toFixed(1),
      plainCpuMicros.toFixed(1),
      ratio(cpuMicros / plainCpuMicros),
    ],
  ];
}

function rpcLines(rpc: BenchResult): Line[] {
  return [
    [
      'CPU µs a gRPC call (yardstick: bare grpc-js)',
      rpc.oursMicros.toFixed(1),
      rpc.bareMicros.toFixed(1),
      ratio(rpc.ratio),
    ],
  ];
}

function logLines(log: LogBench): Line[] {
  const { latencyMs, remoteLatencyMs } = log;
  return [
    ['log records/s appended, 500 at a time', whole(log.appendPerSecond)],
    ['  one at a time by 64 callers', whole(log.appendOnePerSecond)],
    ['  received and committed', whole(log.receivePerSecond)],
    ['  append to receipt p50 / p99, ms', `${ms(latencyMs.p50)} / ${ms(latencyMs.p99)}`],
    ['  the same between processes', `${ms(remoteLatencyMs.p50)} / ${ms(remoteLatencyMs.p99)}`],
  ];
}

function memoryLines({ idle, peak }: Memory): Line[] {
  return [
    [
      'memory MiB, at the peak of the sagas (yardstick: idle)',
      whole(total(peak)),
      whole(total(idle)),
      ratio(total(peak) / total(idle)),
    ],
    ...Object.entries(peak).map(
      ([name, value]): Line => [
        `  ${name}`,
        whole(value),
        whole(idle[name] ?? 0),
        ratio(value / (idle[name] ?? 0)),
      ],
    ),
  ];
}

function tracingLines(tracing: TracingBench): Line[] {
  const { off } = tracing;
  return [
    ['-- traces, PostgreSQL log (yardstick: none recorded)'],
    ...SHARES.flatMap((share): Line[] => {
      const { settledPerSecond, ratio: quotient, cpuPer1000, cpuRatio, memory, bytes } = tracing[share];
      return [
        [
          `sagas settled/s, traces ${share}`,
          whole(settledPerSecond),
          whole(off.settledPerSecond),
          ratio(quotient),
        ],
        ['  CPU s for 1,000', cpuPer1000.toFixed(3), off.cpuPer1000.toFixed(3), ratio(cpuRatio)],
        ['  memory of the services, MiB', whole(memory), whole(off.memory), ratio(memory / off.memory)],
        ['  bytes of spans a saga', whole(bytes)],
      ];
    }),
  ];
}

function readyLines({ cold, second }: Ready): Line[] {
  return [
    ['seconds to ready, from nothing', cold.toFixed(1)],
    ['seconds to ready, second start', second.toFixed(1)],
  ];
}
