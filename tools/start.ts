import { ConfigurationError } from '@tradewind/process/environment';
import { stopSignal } from '@tradewind/process/signals';
import { maskText } from '@tradewind/telemetry/logger';
import { parseFlags, USAGE, UsageError } from './start/options.ts';
import { summary } from './start/summary.ts';
import { startTradewind } from './start/tradewind.ts';

/** `npm start`: everything, until Ctrl-C. Exit codes: 0 stopped in order, 1 failed, 2 wrong command line or environment. */
async function main(): Promise<number> {
  const flags = parseFlags(process.argv.slice(2));
  if (flags === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  // A terminal that was closed must not end the starter before its children.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const startedAt = Date.now();
  const say = (line: string) => {
    process.stdout.write(
      `${((Date.now() - startedAt) / 1000).toFixed(1).padStart(7)} s  ${maskText(line)}\n`,
    );
  };
  const force = new AbortController();
  using signal = stopSignal({
    logger: { info: say, error: (_: unknown, line?: string) => say(String(line)) },
    deadlineMs: 10_000,
    // A terminal that is closed says SIGHUP; under nohup there is none, and it is to be ignored.
    signals: ['SIGINT', 'SIGTERM', ...(process.stdout.isTTY ? (['SIGHUP'] as const) : [])],
    running: () => ['children, which are ended by force'],
    exit: (code) => {
      force.abort();
      process.exit(code);
    },
  });
  try {
    await using running = await startTradewind(flags, { say, signal, force: force.signal });
    process.stdout.write(summary(running, Date.now() - startedAt));
    await aborted(signal);
    say(`ending ${Object.keys(running.pids()).join(', ')}`);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  say('all ended');
  return 0;
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => resolve(), { once: true });
  // Nothing else keeps this process alive while all children are held or between two lives.
  const alive = setInterval(() => undefined, 60_000);
  await promise;
  clearInterval(alive);
}

try {
  process.exitCode = await main();
} catch (error) {
  const mine = error instanceof UsageError || error instanceof ConfigurationError;
  process.stderr.write(
    `\n${maskText(error instanceof Error ? error.message : String(error))}\n${mine ? `\n${USAGE}` : ''}`,
  );
  process.exitCode = mine ? 2 : 1;
}
