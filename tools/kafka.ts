import { stopSignal } from '@tradewind/process/signals';
import { reasonOf } from '@tradewind/process/wait-for';
import { parseFlags, USAGE, UsageError } from './kafka/command-line.ts';
import { runKafka, summary } from './kafka/run.ts';

/** `npm run kafka`: a broker until Ctrl-C. Exit codes: 0 stopped in order, 1 failed, 2 wrong command line. */
async function main(): Promise<number> {
  const flags = parseFlags(process.argv.slice(2));
  if (flags === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  // A terminal that was closed must not end this before the broker.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const startedAt = Date.now();
  const say = (line: string) => {
    process.stdout.write(`${((Date.now() - startedAt) / 1000).toFixed(1).padStart(7)} s  ${line}\n`);
  };
  using signal = stopSignal({
    logger: { info: say, error: (_: unknown, line?: string) => say(String(line)) },
    // The broker is ended by force after 20 s.
    deadlineMs: 25_000,
    signals: ['SIGINT', 'SIGTERM', ...(process.stdout.isTTY ? (['SIGHUP'] as const) : [])],
    running: () => ['Kafka, which is ended by force'],
    exit: (code) => process.exit(code),
  });
  try {
    await runKafka(flags, say, signal, (broker) => {
      process.stdout.write(summary(broker, flags.dataDir, Date.now() - startedAt));
    });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  say('ended; its data stay');
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  const usage = error instanceof UsageError;
  process.stderr.write(`\n${reasonOf(error)}\n${usage ? `\n${USAGE}` : ''}`);
  process.exitCode = usage ? 2 : 1;
}
