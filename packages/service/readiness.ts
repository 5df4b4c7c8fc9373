import type { Database } from '@tradewind/database/database';
import { probeSchema } from '@tradewind/database/migrate';
import type { EventLog } from '@tradewind/messaging/log';
import type { Relay } from '@tradewind/messaging/relay';
import type { Role } from '@tradewind/process/command';
import { reasonOf, type Waits } from '@tradewind/process/wait-for';
import type { ServeOptions } from '@tradewind/rpc/serve';

export interface ReadinessOptions {
  readonly database: Database;
  readonly roles: ReadonlySet<Role>;
  readonly waits: Waits;
  readonly relay: () => Relay | undefined;
  /** The event log once it was opened. */
  readonly log: () => EventLog | undefined;
}

type Health = ServeOptions['health'];

/** How long a probe may take: less than those who ask have patience. */
const PROBE_MS = 1_000;

/**
 * Answers /health/ready. Orders can be accepted without the event log, so for a process that serves its absence is a degradation; a process that
 * only listens can do nothing without it.
 */
export function readiness({ database, roles, waits, relay, log }: ReadinessOptions): Health {
  let schemaSeen = false;
  const asked = {
    database: () => database.probe(),
    schema: async () => {
      if (!schemaSeen) await probeSchema(database);
      schemaSeen = true;
    },
    'event log': async () => {
      const opened = log();
      if (!opened) throw new Error('not reached yet');
      await opened.probe();
    },
    outbox: async () => {
      const trouble = relay()?.trouble;
      if (trouble !== undefined) throw new Error(trouble);
    },
  };
  return {
    async check() {
      const answers = await Promise.all(
        Object.entries(asked).map(async ([name, probe]) => [name, await stateOf(probe)] as const),
      );
      const dependencies: Record<string, string> = Object.fromEntries(answers);
      // What is waited for knows best why.
      for (const { name, reason } of waits.pending()) dependencies[name] = reason;
      const ok = (...names: (keyof typeof asked)[]) => names.every((name) => dependencies[name] === 'ok');
      if (!ok('database', 'schema') || dependencies.port !== undefined)
        return { status: 'unavailable', dependencies };
      if (ok('event log', 'outbox')) return { status: 'ready', dependencies };
      return { status: roles.has('serve') ? 'degraded' : 'unavailable', dependencies };
    },
  };
}

async function stateOf(probe: () => Promise<void>): Promise<string> {
  try {
    await within(PROBE_MS, probe());
    return 'ok';
  } catch (error) {
    return reasonOf(error);
  }
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
