import { join } from 'node:path';
import { reasonOf } from '@tradewind/process/wait-for';
import { type Redis, startRedis } from '@tradewind/testing/redis';
import { findRedis } from '@tradewind/testing/redis/program';
import { openProxy, type Way } from './proxy.ts';

/** The Redis of a run, and the way of each process of ratings to it. */
export interface RedisSide extends AsyncDisposable {
  readonly redis: Redis;
  /** By the process's name. */
  readonly ways: ReadonlyMap<string, Way>;
}

/** Where one is installed; else ratings are counted by PostgreSQL alone, and that is said. */
export async function openRedisSide(
  dataDir: string,
  names: readonly string[],
  say: (line: string) => void,
): Promise<RedisSide | undefined> {
  const why = await findRedis().then(
    () => undefined,
    (error: unknown) => reasonOf(error),
  );
  if (why !== undefined) {
    say(`without Redis: ${why}`);
    return undefined;
  }
  await using scope = new AsyncDisposableStack();
  const redis = scope.use(await startRedis({ dataDir: join(dataDir, 'redis') }));
  const ways = new Map<string, Way>();
  for (const name of names)
    ways.set(name, scope.use(await openProxy({ name: `${name} ↔ Redis`, target: redis.port })));
  const kept = scope.move();
  return { redis, ways, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}
