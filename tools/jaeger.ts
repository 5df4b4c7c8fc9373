import { reasonOf } from '@tradewind/process/wait-for';
import { installJaeger } from '@tradewind/testing/jaeger/install';
import { parseFlags, USAGE, UsageError } from './jaeger/command-line.ts';
import { runJaeger, summary } from './jaeger/run.ts';
import { sayWithTime, stopOf } from './start/single.ts';

/** `npm run jaeger`: a Jaeger until Ctrl-C. Exit codes: 0 stopped in order, or built; 1 failed; 2 wrong command line. */
async function main(): Promise<number> {
  const flags = parseFlags(process.argv.slice(2));
  if (flags === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  const startedAt = Date.now();
  const say = sayWithTime(startedAt);
  // Jaeger is ended by force after 10 s; a compiler finishes its package first.
  using signal = stopOf('Jaeger or its build', say, 20_000);
  if (flags.buildOnly) {
    say(`built: ${await installJaeger(say, { signal })}`);
    return 0;
  }
  try {
    await runJaeger(flags, say, signal, (jaeger) => {
      process.stdout.write(summary(jaeger, flags.dataDir, Date.now() - startedAt));
    });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  say('ended, and its traces with it');
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  const usage = error instanceof UsageError;
  process.stderr.write(`\n${reasonOf(error)}\n${usage ? `\n${USAGE}` : ''}`);
  process.exitCode = usage ? 2 : 1;
}
