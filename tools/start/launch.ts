import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync, closeSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@tradewind/database/embedded';
import { flag } from '@tradewind/process/settings';
import { given, type Variables, withSettings } from '@tradewind/process/variables';
import { openLog, tailOf } from './logs.ts';
import { logPath, type StartOptions } from './options.ts';
import { POSTGRES } from './orphans.ts';
import { type FunctionSpec, type ServiceSpec, variable } from './services.ts';
import { type ChildPlan, endOf, type Launched } from './supervisor.ts';

/** Room for what lives as long as a request: without it a seventh of the processor's time goes into clearing it up. */
const YOUNG = '--max-semi-space-size=32';

/** Where the services find what they need. */
export interface Addresses {
  /** Connection strings by service. */
  readonly databaseUrls: Readonly<Record<string, string>>;
  readonly eventLogUrl: string;
  /** `http://127.0.0.1:3000`, by service. */
  readonly serviceUrls: Readonly<Record<string, string>>;
  /** By function, wherever it runs. */
  readonly functionUrls: Readonly<Record<string, string>>;
}

/** One process of a service. */
export interface ServiceProcess {
  readonly plan: ChildPlan;
  /** Answers 200 when the process is ready. */
  readonly readyUrl: string;
  readonly serves: boolean;
}

/** Whether processes of one service may have its port at the same time. */
export function sharesPorts({ env }: Pick<StartOptions, 'env'>): boolean {
  return flag().parse(given(env, 'REUSE_PORT') ?? '') ?? false;
}

/** The processes of a service: one, or one a role. */
export async function processesOf(
  spec: ServiceSpec,
  options: StartOptions,
  addresses: Addresses,
): Promise<ServiceProcess[]> {
  const groups = options.split ? spec.roles.map((role) => [role]) : [spec.roles];
  return await Promise.all(
    groups.map(async (roles): Promise<ServiceProcess> => {
      const name = options.split ? `${spec.name} ${roles.join(' ')}` : spec.name;
      const serves = roles.includes('serve');
      const port = serves ? options.ports[spec.name] : await freePort();
      // On a shared port, who answers is chance.
      const probed = serves && sharesPorts(options) ? await freePort() : port;
      const own = {
        ...(serves && { PORT: String(port) }),
        ...((!serves || probed !== port) && { HEALTH_PORT: String(probed) }),
      };
      return {
        plan: plan(name, spec, roles, environmentOf(spec, options, addresses, own), options),
        readyUrl: `${baseUrl(options.host, probed)}/health/ready`,
        serves,
      };
    }),
  );
}

/** The process of a function that runs here. */
export async function processOf(spec: FunctionSpec, options: StartOptions): Promise<ServiceProcess> {
  const probed = await freePort();
  const env = sharedEnvironment(options, {
    // It has no business with them.
    DATABASE_URL: undefined,
    EVENT_LOG_URL: undefined,
    PORT: String(options.ports[spec.name]),
    HEALTH_PORT: String(probed),
  });
  return {
    plan: plan(spec.name, spec, ['serve'], env, options),
    readyUrl: `${baseUrl(options.host, probed)}/health/ready`,
    serves: true,
  };
}

/** Applies a service's missing schema steps. Rejects with what it wrote when that fails. */
export async function migrate(
  spec: ServiceSpec,
  options: StartOptions,
  addresses: Addresses,
  onSpawn: (name: string, pid: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const name = `${spec.name} migrate`;
  const { process: child, exited } = spawnService(
    name,
    spec,
    ['migrate'],
    environmentOf(spec, options, addresses),
    options,
  );
  if (child.pid !== undefined) onSpawn(name, child.pid);
  const stop = () => child.kill('SIGTERM');
  signal.addEventListener('abort', stop, { once: true });
  const end = await exited;
  signal.removeEventListener('abort', stop);
  signal.throwIfAborted();
  if (end !== 'exit code 0') throw new Error(`${name} failed (${end}):\n${tailOf(logPath(options, name))}`);
}

type Program = Pick<ServiceSpec, 'main'>;

function plan(
  name: string,
  spec: Program,
  roles: readonly string[],
  env: NodeJS.ProcessEnv,
  options: StartOptions,
): ChildPlan {
  return {
    name,
    signals: ['SIGTERM', 'SIGKILL'],
    async launch(onSpawn) {
      const launched = spawnService(name, spec, roles, env, options);
      onSpawn(launched.process);
      return launched;
    },
  };
}

function spawnService(
  name: string,
  spec: Program,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  options: StartOptions,
): Launched {
  const log = openLog(logPath(options, name));
  const child: ChildProcess = spawn(process.execPath, [YOUNG, spec.main, ...args], {
    env,
    stdio: ['ignore', log, log],
    // A process group of its own, so that Ctrl-C reaches the starter alone and it can end things in order.
    detached: process.platform !== 'win32',
  });
  closeSync(log);
  return { process: child, exited: endOf(child) };
}

/** What a process of a service finds; `own` is what it has for itself. */
function environmentOf(
  spec: ServiceSpec,
  options: StartOptions,
  { databaseUrls, eventLogUrl, serviceUrls, functionUrls }: Addresses,
  own: Variables = {},
): NodeJS.ProcessEnv {
  const { env } = options;
  return withSettings(sharedEnvironment(options), {
    DATABASE_URL: databaseUrls[spec.name],
    EVENT_LOG_URL: eventLogUrl,
    ...Object.fromEntries(
      (spec.calls ?? []).map((called) => {
        const name = variable(called, 'URL');
        return [name, given(env, name) ?? serviceUrls[called] ?? functionUrls[called]];
      }),
    ),
    ...own,
  });
}

/** What every process takes over, whatever it is. */
function sharedEnvironment({ env, host, dataDir }: StartOptions, own: Variables = {}): NodeJS.ProcessEnv {
  return withSettings(env, {
    HOST: host,
    // Less than the time that it is given before it is ended by force, so that it can say what it waits for.
    SHUTDOWN: given(env, 'SHUTDOWN') ?? '5s',
    // Halves the processor time of every start but the first.
    NODE_COMPILE_CACHE: env.NODE_COMPILE_CACHE ?? join(dataDir, 'compile-cache'),
    // What is meant for one process must not reach another.
    PORT: undefined,
    HEALTH_PORT: undefined,
    // Or all services would be one in the traces.
    OTEL_SERVICE_NAME: undefined,
    CONFIG_FILE: undefined,
    ...own,
  });
}

/** The address of a port on this machine, for whoever runs on it too. */
export function baseUrl(host: string, port: number | undefined): string {
  const local = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return `http://${local.includes(':') ? `[${local}]` : local}:${port}`;
}

/** The embedded PostgreSQL, which is started again when it dies. `server` is the one that was started last. */
export function postgresPlan(
  options: StartOptions,
  say: (line: string) => void,
): { plan: ChildPlan; server: () => EmbeddedPostgres } {
  let server: EmbeddedPostgres | undefined;
  const plan: ChildPlan = {
    name: POSTGRES,
    signals: ['SIGINT', 'SIGQUIT'],
    async launch(onSpawn) {
      let exited: Promise<string> | undefined;
      const log = logPath(options, POSTGRES);
      closeSync(openLog(log));
      server = await startEmbeddedPostgres({
        dataDir: join(options.dataDir, 'postgres'),
        port: options.postgresPort,
        onLog: (line) => appendFileSync(log, `${line}\n`),
        onProgress: say,
        onSpawn(child) {
          exited = endOf(child);
          onSpawn(child);
        },
      });
      return { process: server.process, exited: exited ?? endOf(server.process) };
    },
  };
  return {
    plan,
    server() {
      if (!server) throw new Error('PostgreSQL was not started');
      return server;
    },
  };
}

async function freePort(): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const server = createServer().listen(0, '127.0.0.1', resolve);
  await promise;
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  return address.port;
}
