// Starts a Kafka and all services on it, and runs the examples that speak Kafka. Exit code 1 when one fails.
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLog } from '@tradewind/messaging/open-log';
import { withSettings } from '@tradewind/process/variables';
import { createLogger } from '@tradewind/telemetry/logger';
import { startBroker } from '@tradewind/testing/kafka';
import { freePort } from '@tradewind/testing/port';
import { functions, services, variable } from '../../tools/start/services.ts';
import { startTradewind } from '../../tools/start/tradewind.ts';
import { comparePartitions } from './compare.ts';
import { placeBareOrder, placeGarbage, rateBarely } from './foreign.ts';
import { runExample } from './programs.ts';

const folder = await mkdtemp(join(tmpdir(), 'tradewind-examples-'));
// PostgreSQL runs as another user when this process is root.
await chmod(folder, 0o755);
const say = (line: string) => console.log(`        ${line}`);

let failed = 0;
async function step(name: string, run: () => Promise<string>): Promise<void> {
  try {
    const seen = await run();
    console.log(`ok      ${name}`);
    for (const line of seen.trimEnd().split('\n')) say(line);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${error instanceof Error ? error.message : String(error)}`);
  }
}

async function run(): Promise<void> {
  await using broker = await startBroker({ dataDir: join(folder, 'kafka') });
  const servers = `127.0.0.1:${broker.port}`;
  const logger = createLogger({ service: 'examples', level: 'warn' });
  await using log = await openLog({ url: broker.url, logger });
  await step('the same partitions from every language', () => comparePartitions(log, servers));

  const ports = [...services, ...functions].map(
    async ({ name }) => [variable(name, 'PORT'), String(await freePort())] as const,
  );
  const env = withSettings(process.env, {
    EVENT_LOG_URL: broker.url,
    TRADEWIND_POSTGRES_PORT: String(await freePort()),
    ...Object.fromEntries(await Promise.all(ports)),
  });
  await using tradewind = await startTradewind({ dataDir: join(folder, 'tradewind'), env });
  const { stock = '', ratings = '' } = tradewind.addresses.serviceUrls;
  await step('Go: publishes and consumes', () => runExample('go', [servers, 'order']));
  await step('Python: publishes and consumes', () => runExample('python', [servers, 'order']));
  await step('a bare JSON message of another tool', () => placeBareOrder(log, stock));
  await step('a bare rating of anybody', () => rateBarely(log, ratings));
  await step('garbage, and a message behind it', () => placeGarbage(log));
}

try {
  await run();
} finally {
  await rm(folder, { recursive: true, force: true });
}
console.log(failed === 0 ? 'all examples on Kafka are as they should be' : `${failed} examples failed`);
process.exitCode = failed === 0 ? 0 : 1;
