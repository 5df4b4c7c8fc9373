import { reasonOf } from '@tradewind/process/wait-for';
import { parseFlags, USAGE, UsageError } from './redis/command-line.ts';
import { runRedis, summary } from './redis/run.ts';
import { sayWithTime, stopOf } from './start/single.ts';

/** `npm run redis`: a Redis until Ctrl-C. Exit codes: 0 stopped in order, 1 failed, 2 wrong command line. */
async function main(): Promise<number> {
  const flags = parseFlags(process.argv.slice(2));
  if (flags === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  const startedAt = Date.now();
  const say = sayWithTime(startedAt);
  // Redis is ended by force after 10 s.
  using signal = stopOf('Redis', say, 15_000);
  try {
    await runRedis(flags, say, signal, (redis) => {
      process.stdout.write(summary(redis, flags, Date.now() - startedAt));
    });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  say(flags.persist ? 'ended; its data stay' : 'ended, and its data with it');
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  const usage = error instanceof UsageError;
  process.stderr.write(`\n${reasonOf(error)}\n${usage ? `\n${USAGE}` : ''}`);
  process.exitCode = usage ? 2 : 1;
}
