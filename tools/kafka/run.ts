import { join, relative, resolve } from 'node:path';
import { type Broker, startBroker } from '@tradewind/testing/kafka';
import { endOrphans } from '../start/orphans.ts';
import { checkPorts } from '../start/ports.ts';
import { StateFile } from '../start/state.ts';
import type { KafkaFlags } from './command-line.ts';

const NAME = 'kafka';

/**
 * Runs a broker until `signal` aborts, then ends it in order. What an earlier start that was killed left behind is ended first. Rejects
 * with AlreadyRunning, a taken port, what is missing on this machine, or how the broker ended when nobody asked it to.
 */
export async function runKafka(
  flags: KafkaFlags,
  say: (line: string) => void,
  signal: AbortSignal,
  onReady: (broker: Broker) => void = () => undefined,
): Promise<void> {
  const dataDir = resolve(flags.dataDir);
  const { file, orphans } = StateFile.claim(dataDir, { [NAME]: flags.port });
  using _claim = file;
  await endOrphans(orphans, file, say);
  await checkPorts([{ name: 'Kafka', port: flags.port, host: '127.0.0.1', variable: '--port' }]);
  signal.throwIfAborted();
  await using scope = new AsyncDisposableStack();
  let starting: (() => void) | undefined;
  signal.addEventListener('abort', () => starting?.(), { once: true });
  const broker = scope.use(
    await startBroker({
      ...flags,
      dataDir,
      onProgress: say,
      onSpawn(child) {
        if (child.pid !== undefined) file.record(NAME, child.pid);
        // Who loses patience while it starts need not wait until it is there.
        starting = () => child.kill('SIGTERM');
      },
    }).catch((error: unknown) => {
      signal.throwIfAborted();
      throw error;
    }),
  );
  starting = undefined;
  signal.throwIfAborted();
  onReady(broker);
  await Promise.race([aborted(signal), broker.exited]);
  if (signal.aborted) return say('ending Kafka');
  throw new Error(
    `Kafka ended (${await broker.exited}); ${relative(process.cwd(), join(dataDir, 'broker.log'))} says why`,
  );
}

async function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve: done } = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => done(), { once: true });
  if (signal.aborted) done();
  await promise;
}

/** What a person needs to know once it runs; the last line begins with `ready`. */
export function summary(broker: Broker, dataDir: string, tookMs: number): string {
  const url = broker.url.replace('127.0.0.1', 'localhost');
  return [
    '',
    `  Kafka       ${url}, without login: whoever reaches the port may do everything`,
    `  data, log   ${dataDir}, broker.log in there; pid ${broker.pid}`,
    '',
    'In another terminal:',
    `  EVENT_LOG_URL=${url} npm start`,
    '',
    'Ctrl-C ends it; its data stay.',
    `ready after ${(tookMs / 1000).toFixed(1)} s`,
    '',
  ].join('\n');
}
