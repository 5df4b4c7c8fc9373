import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '@tradewind/database/embedded';
import { type Variables, withSettings } from '@tradewind/process/variables';
import { openLog } from '../start/logs.ts';
import { type ServiceSpec, services } from '../start/services.ts';
import { type ChildPlan, endOf, type Launched } from '../start/supervisor.ts';

export type Role = 'serve' | 'listen';

/** One process that is to be there. */
export interface Post {
  /** `order serve`, `order listen 2`. */
  readonly name: string;
  readonly spec: ServiceSpec;
  readonly role: Role;
}

/** Those on whose listening a saga waits listen twice, so that their partitions have somewhere to go. The others make do with one. */
const LISTENERS: Readonly<Record<string, number>> = { order: 2, stock: 2 };
/** Groups that others may join for a while. */
export const visited = ['order', 'stock', 'ratings'] as const;

export const posts: readonly Post[] = services.flatMap((spec) =>
  spec.roles.flatMap((role) => {
    const count = role === 'listen' ? (LISTENERS[spec.name] ?? 1) : 1;
    return Array.from({ length: count }, (_, index) => ({
      name: count === 1 ? `${spec.name} ${role}` : `${spec.name} ${role} ${index + 1}`,
      spec,
      role,
    }));
  }),
);

/** A member more of each of those groups, for as long as somebody wants one. */
export const extras: readonly Post[] = services
  .filter(({ name }) => visited.some((one) => one === name))
  .map((spec) => ({ name: `${spec.name} listen extra`, spec, role: 'listen' }));

export const logFile = (dataDir: string, name: string) =>
  join(dataDir, 'logs', `${name.replaceAll(' ', '-')}.log`);

/** What a process finds: what this one has, and its own settings. */
export function environment(dataDir: string, own: Variables): NodeJS.ProcessEnv {
  return withSettings(process.env, {
    HOST: '127.0.0.1',
    SHUTDOWN: '5s',
    NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(dataDir, 'compile-cache'),
    // What is meant for one process must not reach another.
    PORT: undefined,
    HEALTH_PORT: undefined,
    GRPC_PORT: undefined,
    CONFIG_FILE: undefined,
    TLS_CERT: undefined,
    TLS_KEY: undefined,
    ...own,
  });
}

/** Runs a service's command; what it writes goes to a file of its own. */
export function launch(
  { name, spec }: Pick<Post, 'name' | 'spec'>,
  args: readonly string[],
  options: {
    readonly dataDir: string;
    readonly env: NodeJS.ProcessEnv;
    readonly imports?: readonly string[];
  },
): Launched {
  const log = openLog(logFile(options.dataDir, name));
  const imports = (options.imports ?? []).flatMap((path) => ['--import', path]);
  const child: ChildProcess = spawn(
    process.execPath,
    ['--max-semi-space-size=16', ...imports, spec.main, ...args],
    // A process group of its own: Ctrl-C reaches this process alone, which then ends the others.
    { env: options.env, stdio: ['ignore', log, log], detached: true },
  );
  closeSync(log);
  return { process: child, exited: endOf(child) };
}

/** The PostgreSQL of all of them, started again when it dies. */
export function postgresPlan(dataDir: string, port: number): ChildPlan {
  return {
    name: 'postgres',
    signals: ['SIGINT', 'SIGQUIT'],
    async launch(onSpawn) {
      let exited: Promise<string> | undefined;
      const log = logFile(dataDir, 'postgres');
      closeSync(openLog(log));
      const server = await startEmbeddedPostgres({
        dataDir: join(dataDir, 'postgres'),
        port,
        onLog: (line) => appendFileSync(log, `${line}\n`),
        onSpawn(child) {
          exited = endOf(child);
          onSpawn(child);
        },
      });
      return { process: server.process, exited: exited ?? endOf(server.process) };
    },
  };
}
