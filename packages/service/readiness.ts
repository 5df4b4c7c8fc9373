import type { Database } from '@tradewind/database/database';
import { probeSchema } from '@tradewind/database/migrate';
import type { Relay } from '@tradewind/messaging/relay';
import type { Role } from '@tradewind/process/command';
import { reasonOf, type Waits } from '@tradewind/process/wait-for';
import type { ServeOptions } from '@tradewind/rpc/serve';

export interface ReadinessOptions {
  readonly database: Database;
  readonly roles: ReadonlySet<Role>;
  readonly waits: Waits;
  readonly relay: () => Relay | undefined;
}

type Health = ServeOptions['health'];

/** How long a probe of the database may take. */
const PROBE_MS = 2_000;

/**
 * Answers /health/ready. Orders can be accepted without the event log, so for a process that serves its absence is a degradation; a process that
 * only listens can do nothing without it.
 */
export function readiness({ database, roles, waits, relay }: ReadinessOptions): Health {
  let schemaSeen = false;
  return {
    async check() {
      const dependencies: Record<string, string> = {};
      try {
        await within(PROBE_MS, database.probe());
        dependencies.database = 'ok';
        if (!schemaSeen) await within(PROBE_MS, probeSchema(database));
        schemaSeen = true;
        dependencies.schema = 'ok';
      } catch (error) {
        dependencies[dependencies.database === 'ok' ? 'schema' : 'database'] = reasonOf(error);
      }
      dependencies['event log'] = relay() ? (relay()?.trouble ?? 'ok') : 'not reached yet';
      for (const { name, reason } of waits.pending()) dependencies[name] = reason;
      const ok = (name: string) => dependencies[name] === 'ok';
      if (!ok('database') || !ok('schema')) return { status: 'unavailable', dependencies };
      if (ok('event log')) return { status: 'ready', dependencies };
      return { status: roles.has('serve') ? 'degraded' : 'unavailable', dependencies };
    },
  };
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
