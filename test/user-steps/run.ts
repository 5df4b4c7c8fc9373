// What a user does, from a fresh clone in an empty folder, with the commands as the README writes them. Prints ok or FAILED for each
// check and a last line of totals; exit code 1 when one failed. Needs git, curl, Go, Python, Java 17 and Maven, and free ports (or
// ORDER_PORT and so on).
import { rmSync } from 'node:fs';
import { badInputSteps } from './bad-input.ts';
import { check, finish, section } from './check.ts';
import { emptyFolder, freshClone } from './clone.ts';
import { graphqlSteps } from './graphql.ts';
import { onKafka } from './kafka.ts';
import { loadSteps } from './load.ts';
import { orderSteps } from './orders.ts';
import { onOwnServer } from './own-server.ts';
import { ratingSteps } from './ratings.ts';
import { rpcSteps } from './rpc.ts';
import { freshEnvironment, type Shell, succeed } from './shell.ts';
import { ends, otherWays, stopAndStartAgain, whileItRuns } from './start.ts';
import { endAll, portsOf, type Started, start } from './tradewind.ts';

type Steps = Record<string, () => Promise<void>>;

async function all(title: string, steps: Steps): Promise<void> {
  await section(title, async () => {
    for (const [name, work] of Object.entries(steps)) await check(name, work);
  });
}

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void endAll().finally(() => process.exit(130)));

const folder = emptyFolder();
const env = freshEnvironment();
const ports = portsOf(env);
let shell: Shell = { cwd: folder, env };
let running: Started | undefined;
process.stdout.write(`in ${folder}\n`);
try {
  await section('git clone, npm ci, npm start', async () => {
    shell = await freshClone(folder, env);
    await check('npm ci', () => succeed(shell, 'npm ci', 600_000));
    const first = await start(shell);
    running = first;
    process.stdout.write(`  ready after ${(first.readyMs / 1_000).toFixed(1)} s\n`);
    await whileItRuns(shell, ports, first);
  });
  if (running) {
    await all('orders by curl', orderSteps(shell, ports));
    await all('gRPC, Connect, gRPC-Web, and the examples', rpcSteps(shell, ports));
    await all('GraphQL', graphqlSteps(shell, ports));
    await all('ratings', ratingSteps(shell, ports));
    await all('bad input', badInputSteps(shell, ports));
    await all('load and audit', loadSteps(shell, ports));
    const before = running;
    await section('stopping, and starting again', async () => {
      running = await stopAndStartAgain(shell, ports, before);
      const last = running;
      await check('Ctrl-C ends that, too', () => ends(shell, last, 'SIGINT'));
      await otherWays(shell, ports);
    });
    await section('a PostgreSQL of your own', () => onOwnServer(shell, ports));
    await section('Kafka', () => onKafka(shell, ports));
  }
} finally {
  await endAll();
}
const ok = finish();
if (ok) rmSync(folder, { recursive: true, force: true });
else process.stdout.write(`kept: ${folder}\n`);
process.exitCode = ok ? 0 : 1;
