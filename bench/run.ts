import { mkdirSync, writeFileSync } from 'node:fs';
import { arch, cpus, platform, release, totalmem } from 'node:os';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stopSignal } from '@tradewind/process/signals';
import { benchLatency } from './latency.ts';
import { logBench } from './log.ts';
import { type BenchOptions, parseOptions, USAGE, UsageError } from './options.ts';
import { benchRatings } from './ratings.ts';
import { benchReady } from './ready.ts';
import { benchRelay } from './relay.ts';
import { format, type Results } from './report.ts';
import { rpcBench } from './rpc.ts';
import { benchSagas, Counter } from './sagas.ts';
import { Scratch } from './scratch.ts';
import { openStage, type RunContext, type Stage } from './stage.ts';
import { benchTracing } from './tracing.ts';
import { measurable } from './usage.ts';

/** How long the parts have to end what they started. */
const STOP_MS = 10_000;

/** `npm run bench`. Exit codes: 0 measured, 1 failed or stopped, 2 wrong command line. */
async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  const force = new AbortController();
  const say = (line: string) => process.stderr.write(`${line}\n`);
  using signal = stopSignal({
    logger: { info: say, error: (_: unknown, line?: string) => say(String(line)) },
    deadlineMs: 15_000,
    running: () => ['processes of the benchmark, which are ended by force'],
    exit: (code) => {
      force.abort();
      process.exit(code);
    },
  });
  const results: Results = { startedAt: new Date().toISOString(), machine: machine() };
  await using scratch = new Scratch();
  const context = {
    root: scratch.root,
    signal,
    force: force.signal,
    say,
    profile: options.profile === undefined ? undefined : resolve(options.profile),
  };
  await Promise.race([measure(options, context, results), gaveUp(signal)]).catch((error: unknown) => {
    throw signal.aborted ? signal.reason : error;
  });
  const path = save(options.json, results);
  process.stdout.write(
    `\n${format(results, { memory: options.only.has('memory') && measurable, sagas: options.only.has('sagas') })}\n\n${path}\n`,
  );
  return 0;
}

async function measure(options: BenchOptions, context: RunContext, results: Results): Promise<void> {
  const { only } = options;
  const few = Math.min(3, options.rounds);
  const { say } = context;
  if (only.has('ready')) {
    say('time to ready');
    results.ready = await benchReady(context, few);
  }
  if (only.has('rpc')) {
    say('CPU of a gRPC call');
    results.rpc = await rpcBench();
  }
  if (only.has('log')) {
    say('event log');
    results.log = await logBench(context, options.logs);
  }
  if (only.has('relay')) {
    say('relay');
    results.relay = await benchRelay({ ...context, logs: options.logs, facts: 100_000, rounds: few });
  }
  if (only.has('tracing')) {
    say('sagas without and with traces');
    results.tracing = await benchTracing(context, options);
  }
  if (only.has('ratings')) {
    say('ratings');
    results.ratings = await benchRatings(context, { ...options, ratings: options.orders, rounds: few });
  }
  if (only.has('sagas') || only.has('memory') || only.has('latency'))
    await measureOnStage(options, context, results);
}

async function measureOnStage(options: BenchOptions, context: RunContext, results: Results): Promise<void> {
  await using scope = new AsyncDisposableStack();
  const stages: Stage[] = [];
  for (const log of options.logs) stages.push(await openStage(scope, context, log));
  const counters = new Map(stages.map((stage) => [stage, new Counter()]));
  const both = { ...options, signal: context.signal, say: context.say };
  if (options.only.has('sagas') || options.only.has('memory')) {
    context.say('sagas');
    results.sagas = await benchSagas(stages, counters, both);
  }
  if (options.only.has('latency')) {
    context.say('latency at a fixed rate');
    results.latency = await benchLatency(stages, counters, both);
  }
}

/** Rejects some time after the signal: what can't be stopped is not waited for any longer. */
async function gaveUp(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  const late = () => setTimeout(() => reject(signal.reason), STOP_MS);
  signal.addEventListener('abort', late, { once: true });
  return await promise;
}

function machine(): Results['machine'] {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${release()} ${arch()}`,
    node: process.version,
  };
}

function save(file: string | undefined, results: Results): string {
  const name = results.startedAt.replaceAll(':', '-').replace(/\..*/, '');
  const path =
    file === undefined ? fileURLToPath(new URL(`./results/${name}.json`, import.meta.url)) : resolve(file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(results, null, 2)}\n`);
  return path;
}

try {
  process.exitCode = await main();
} catch (error) {
  const usage = error instanceof UsageError;
  process.stderr.write(
    `\n${error instanceof Error ? error.message : String(error)}\n${usage ? `\n${USAGE}` : ''}`,
  );
  process.exitCode = usage ? 2 : 1;
}
// What a part leaves running after it was stopped holds nobody up.
process.exit();
