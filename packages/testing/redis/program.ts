import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';

const NAME = process.platform === 'win32' ? 'redis-server.exe' : 'redis-server';

/** The path of a Redis that somebody installed: REDIS_SERVER, or redis-server on the PATH. Rejects with how to get one when there is none. */
export async function findRedis(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  if (env.REDIS_SERVER) {
    const path = resolve(env.REDIS_SERVER);
    if (await runs(path)) return path;
    throw new Error(`REDIS_SERVER is ${path}, which is not a program that can be run`);
  }
  for (const folder of (env.PATH ?? '').split(delimiter).filter(Boolean)) {
    const path = join(folder, NAME);
    if (await runs(path)) return path;
  }
  throw new Error(
    'Redis is needed, and there is no redis-server on the PATH: apt-get install redis-server (Debian, Ubuntu), or say where one is by REDIS_SERVER',
  );
}

async function runs(path: string): Promise<boolean> {
  return await access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
