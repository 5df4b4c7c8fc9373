import { maskUrl } from '@tradewind/telemetry/mask';
import { type Redis, startRedis } from '@tradewind/testing/redis';
import { runSingle } from '../start/single.ts';
import type { RedisFlags } from './command-line.ts';

/** Runs a Redis until `signal` aborts: as `runSingle`. */
export async function runRedis(
  { port, dataDir, persist, settings }: RedisFlags,
  say: (line: string) => void,
  signal: AbortSignal,
  onReady?: (redis: Redis) => void,
): Promise<void> {
  await runSingle(
    {
      title: 'Redis',
      dataDir,
      logFile: 'redis.log',
      ports: [{ name: 'Redis', port, host: '127.0.0.1', variable: '--port' }],
      start: (folder, onSpawn) =>
        startRedis({
          port,
          dataDir: folder,
          settings: { ...(persist && { appendonly: 'yes' }), ...settings },
          onProgress: say,
          onSpawn,
        }),
      onReady,
    },
    say,
    signal,
  );
}

/** What a person needs to know once it runs; the last line begins with `ready`. */
export function summary(redis: Redis, { dataDir, persist, settings }: RedisFlags, tookMs: number): string {
  // Whoever set a password knows it.
  const url = maskUrl(redis.url).replace('127.0.0.1', 'localhost');
  const login =
    settings.requirepass === undefined ? 'without login: whoever reaches the port may do everything' : '';
  return [
    '',
    `  Redis       ${[url, login].filter(Boolean).join(', ')}`,
    persist
      ? `  data, log   ${dataDir}`
      : `  log         ${dataDir}; its data are in its memory, and go with it`,
    `  process     pid ${redis.pid}`,
    '',
    'In another terminal:',
    `  REDIS_URL=${url} npm start`,
    '',
    'Ctrl-C ends it.',
    `ready after ${(tookMs / 1000).toFixed(1)} s`,
    '',
  ].join('\n');
}
