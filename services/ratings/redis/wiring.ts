import type { Values } from '@tradewind/process/environment';
import type { ServiceDeps } from '@tradewind/service/define';
import type { Worker } from '@tradewind/service/workers';
import { openProjection, type Projection } from './projection.ts';
import type { redisSettings } from './settings.ts';

type Deps = Pick<
  ServiceDeps<Values<typeof redisSettings>>,
  'database' | 'logger' | 'metrics' | 'config' | 'scope'
>;

const opened = new WeakMap<Deps, Projection>();

/** The process's one projection, for its calls and its worker alike; undefined without REDIS_URL. It goes with the process's scope. */
export function projectionOf(deps: Deps): Projection | undefined {
  const { REDIS_URL: url, REDIS_TIMEOUT: timeoutMs } = deps.config;
  if (url === undefined) return undefined;
  const known = opened.get(deps);
  if (known) return known;
  const made = deps.scope.use(openProjection({ ...deps, url, timeoutMs }));
  opened.set(deps, made);
  return made;
}

/** Brings Redis up to PostgreSQL, in processes that listen. Without REDIS_URL it does nothing. */
export const projectCounts: Worker<Deps> = async (deps, signal) => {
  const projection = projectionOf(deps);
  if (projection) return await projection.work(signal);
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => resolve(), { once: true });
  if (signal.aborted) resolve();
  await promise;
};
