import { type Broker, startBroker } from '@tradewind/testing/kafka';
import { runSingle } from '../start/single.ts';
import type { KafkaFlags } from './command-line.ts';

/** Runs a broker until `signal` aborts: as `runSingle`. */
export async function runKafka(
  flags: KafkaFlags,
  say: (line: string) => void,
  signal: AbortSignal,
  onReady?: (broker: Broker) => void,
): Promise<void> {
  await runSingle(
    {
      title: 'Kafka',
      dataDir: flags.dataDir,
      logFile: 'broker.log',
      ports: [{ name: 'Kafka', port: flags.port, host: '127.0.0.1', variable: '--port' }],
      start: (dataDir, onSpawn) => startBroker({ ...flags, dataDir, onProgress: say, onSpawn }),
      onReady,
    },
    say,
    signal,
  );
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
