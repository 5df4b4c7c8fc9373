import { delay } from '@tradewind/process/backoff';
import { Client } from 'pg';
import { type ProcessIdentity, signalProcess } from '../start/identity.ts';
import { BACKEND, EVERYTHING, POSTMASTER, STARTER, type Victim } from './plan.ts';
import type { System } from './system.ts';

/** A kill that is prepared, so that it comes at its moment. */
export interface Aim extends AsyncDisposable {
  /** `kill -9`. Resolves with when that was, in milliseconds since 1970. */
  fire(): Promise<number>;
  /** Resolves when what was killed is there again: by the supervisor, PostgreSQL, or, for the starter, by starting it. */
  back(): Promise<void>;
}

const BACK_MS = 60_000;

export async function aimAt(system: System, victim: Victim): Promise<Aim> {
  if (victim === STARTER) return aimAtStarter(system);
  if (victim === EVERYTHING) return aimAtEverything(system);
  if (victim === BACKEND) return await aimAtBackend(system);
  return aimAtProcess(system, victim);
}

function aimAtProcess(system: System, name: string): Aim {
  const target = system.identity(name);
  if (!target) throw new Error(`there is no process "${name}" to kill`);
  return {
    async fire() {
      const at = Date.now();
      kill(target, name);
      return at;
    },
    async back() {
      await until(`${name} runs again`, () => {
        const now = system.identity(name);
        return now !== undefined && now.startedAt !== target.startedAt;
      });
      if (name === POSTMASTER) await until('PostgreSQL accepts connections', () => connects(system));
      const [service, role] = name.split(' ');
      if (role === 'serve') await until(`${name} is ready`, () => isReady(urlOf(system, service)));
    },
    async [Symbol.asyncDispose]() {},
  };
}

function kill(target: ProcessIdentity, name: string): void {
  if (!signalProcess(target, 'SIGKILL'))
    throw new Error(`${name} (pid ${target.pid}) was gone before it was killed`);
}

/** PostgreSQL ends every other connection when one dies like that, and recovers as after a crash. */
async function aimAtBackend(system: System): Promise<Aim> {
  const client = new Client({ connectionString: system.databaseUrl('postgres') });
  client.on('error', () => undefined);
  const { promise: ended, resolve: onEnd } = Promise.withResolvers<void>();
  client.once('end', onEnd);
  await client.connect();
  return {
    async fire() {
      const { rows } = await client.query<{ pid: number }>(
        `SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
         ORDER BY state IN ('active', 'idle in transaction') DESC, random() LIMIT 1`,
      );
      const pid = rows[0]?.pid;
      if (pid === undefined) throw new Error('nobody is connected to PostgreSQL');
      const at = Date.now();
      process.kill(pid, 'SIGKILL');
      return at;
    },
    async back() {
      await ended;
      await until('PostgreSQL accepts connections', () => connects(system));
    },
    async [Symbol.asyncDispose]() {
      await client.end().catch(() => undefined);
    },
  };
}

/** What it started lives on without it, until it is started again and ends them. */
function aimAtStarter(system: System): Aim {
  return {
    async fire() {
      const at = Date.now();
      system.killStarter();
      return at;
    },
    back: () => system.start(),
    async [Symbol.asyncDispose]() {},
  };
}

function aimAtEverything(system: System): Aim {
  return {
    async fire() {
      const at = Date.now();
      system.killStarter();
      for (const target of system.identities()) signalProcess(target, 'SIGKILL');
      return at;
    },
    back: () => system.start(),
    async [Symbol.asyncDispose]() {},
  };
}

function urlOf({ addresses }: System, service: string | undefined): string {
  const urls = new Map([
    ['order', addresses.orderUrl],
    ['product', addresses.productUrl],
    ['stock', addresses.stockUrl],
    ['ratings', addresses.ratingsUrl],
  ]);
  const url = urls.get(service ?? '');
  if (url === undefined) throw new Error(`nobody knows where ${service} answers`);
  return url;
}

async function isReady(url: string): Promise<boolean> {
  const answer = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(5_000) }).catch(
    () => undefined,
  );
  await answer?.body?.cancel();
  return answer?.status === 200;
}

async function connects(system: System): Promise<boolean> {
  const client = new Client({
    connectionString: system.databaseUrl('postgres'),
    connectionTimeoutMillis: 2_000,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('SELECT');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + BACK_MS; !(await holds()); await delay(50)) {
    if (Date.now() > deadline) throw new Error(`not within ${BACK_MS / 1_000} s: ${what}`);
  }
}
