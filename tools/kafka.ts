import { reasonOf } from '@tradewind/process/wait-for';
import { parseFlags, USAGE, UsageError } from './kafka/command-line.ts';
import { runKafka, summary } from './kafka/run.ts';
import { sayWithTime, stopOf } from './start/single.ts';

/** `npm run kafka`: a broker until Ctrl-C. Exit codes: 0 stopped in order, 1 failed, 2 wrong command line. */
async function main(): Promise<number> {
  const flags = parseFlags(process.argv.slice(2));
  if (flags === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  const startedAt = Date.now();
  const say = sayWithTime(startedAt);
  // The broker is ended by force after 20 s.
  using signal = stopOf('Kafka', say, 25_000);
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
