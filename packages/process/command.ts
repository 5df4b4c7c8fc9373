import { dirname } from 'node:path';
import { createLogger, flushLogger, type Logger, type LogLevel, maskText } from '@tradewind/telemetry/logger';
import { type Migration, parseCommand, type Request, type Role, usage } from './arguments.ts';
import { configurationFile } from './configuration-file.ts';
import { ConfigurationError, type Sources } from './environment.ts';
import { Refusal } from './refusal.ts';
import { stopSignal } from './signals.ts';
import { Running } from './together.ts';
import { Waits } from './wait-for.ts';

export type { Migration, Role } from './arguments.ts';

/** The part of every service's configuration that its process needs. */
export interface ProcessConfig {
  readonly logLevel: LogLevel;
  /** From the signal to stop to the end, in milliseconds. */
  readonly shutdownMs: number;
  /** What looks wrong and may be right; logged. */
  readonly warnings?: readonly string[];
  /** What libraries are to find that read the environment by themselves. */
  readonly variables?: Readonly<Record<string, string>>;
}

/** What a command gets. Whatever it opens it disposes itself (`await using`) before it returns. */
export interface Context<Config> {
  readonly config: Config;
  /** Aborted when the process is to stop. */
  readonly signal: AbortSignal;
  readonly logger: Logger;
  /** Hand it to waitFor, and to readiness. */
  readonly waits: Waits;
  /** Hand it to `together`, or track work by name: what is in here is named when a stop takes too long. */
  readonly running: Running;
}

export interface Service<Config extends ProcessConfig> {
  readonly name: string;
  readonly version: string;
  /** Reads the configuration; a ConfigurationError is shown and ends the process with exit code 2. */
  readonly configure: (sources: Sources) => Config;
  /** Does what `roles` asks for until the signal is aborted, then returns. To return earlier is a failure. */
  readonly run: (context: Context<Config> & { readonly roles: ReadonlySet<Role> }) => Promise<void>;
  /** Which of the two there are; both when left out. */
  readonly roles?: readonly Role[];
  /** Only where there is a schema. `print` writes a line for people. */
  readonly migrate?: (
    context: Context<Config> & {
      readonly migration: Migration;
      readonly print: (line: string) => void;
    },
  ) => Promise<void>;
  /** Writes the file of a new schema step. `folder` is that of the program: the service's. */
  readonly newStep?: (step: {
    readonly name: string;
    readonly folder: string;
    readonly print: (line: string) => void;
  }) => Promise<void>;
  /** Only where there is a read model. */
  readonly rebuild?: (context: Context<Config> & { readonly print: (line: string) => void }) => Promise<void>;
}

/** What is left open after the work is over gets this long before it is named and dropped. */
const LINGER_MS = 1_000;

/**
 * A service's main: reads the command line and the configuration, runs the command until it is over or a signal comes, ends the process.
 * Exit codes: 0 done or stopped in order, 1 failed or not stopped in time, 2 wrong command line or configuration.
 */
export async function runService<Config extends ProcessConfig>(service: Service<Config>): Promise<void> {
  const offered = {
    roles: service.roles ?? (['serve', 'listen'] as const),
    rebuild: service.rebuild !== undefined,
    migrate: service.migrate !== undefined,
  };
  const request = parseCommand(process.argv.slice(2), offered);
  if (request.kind === 'help') {
    process.stdout.write(usage(service.name, offered));
    return;
  }
  if (request.kind === 'wrong') {
    process.stderr.write(`${request.problem}\n\n${usage(service.name, offered)}`);
    process.exitCode = 2;
    return;
  }
  if (request.kind === 'new step') return await writeNewStep(service, request.name);
  const config = configure(service, request);
  if (!config) return;
  Object.assign(process.env, config.variables);
  await runInProcess(service, request, config);
}

async function writeNewStep<Config extends ProcessConfig>(
  service: Service<Config>,
  name: string,
): Promise<void> {
  try {
    await service.newStep?.({ name, folder: dirname(process.argv[1] ?? ''), print });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    refuse(service.name, error);
  }
}

function refuse(name: string, { message, exitCode }: Refusal): void {
  process.stderr.write(`${name}: ${maskText(message)}\n`);
  process.exitCode = exitCode;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** The configuration, or nothing after its mistakes were shown. */
function configure<Config extends ProcessConfig>(
  service: Service<Config>,
  { file }: { file?: string },
): Config | undefined {
  const path = configurationFile(file, process.env);
  try {
    return service.configure({ env: process.env, ...(path === undefined ? {} : { file: path }) });
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    process.stderr.write(`${service.name}: ${error.message}\n`);
    process.exitCode = 2;
    return undefined;
  }
}

type Runnable = Exclude<Request, { kind: 'help' | 'wrong' | 'new step' }>;

async function runInProcess<Config extends ProcessConfig>(
  service: Service<Config>,
  request: Runnable,
  config: Config,
) {
  const { name, version } = service;
  const logger = createLogger({ service: name, version, level: config.logLevel });
  const running = new Running();
  const exit = (code: number) => {
    process.exitCode = code;
    void flushLogger(logger).finally(() => process.exit(code));
  };
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      logger.fatal({ err: error }, event);
      exit(1);
    });
  }
  using signal = stopSignal({
    logger,
    deadlineMs: config.shutdownMs,
    running: () => stillRunning(running),
    exit,
  });
  const context = { config, signal, logger, waits: new Waits(), running };
  for (const warning of config.warnings ?? []) logger.warn(warning);
  try {
    await perform(service, request, context);
    logger.debug('done');
  } catch (error) {
    if (error instanceof Refusal) refuse(name, error);
    // To stop is what was asked for.
    else if (!(signal.aborted && error === signal.reason)) {
      logger.fatal({ err: error }, `${request.kind} failed`);
      process.exitCode = 1;
    }
  }
  process.exitCode ??= 0;
  await flushLogger(logger);
  setTimeout(() => {
    logger.warn({ open: process.getActiveResourcesInfo() }, 'something was left open');
    exit(Number(process.exitCode ?? 0));
  }, LINGER_MS).unref();
}

async function perform<Config extends ProcessConfig>(
  service: Service<Config>,
  request: Runnable,
  context: Context<Config>,
) {
  const { running, signal, logger } = context;
  switch (request.kind) {
    case 'migrate':
      return await running.track('migrate', async () =>
        service.migrate?.({ ...context, migration: request.migration, print }),
      );
    case 'rebuild':
      return await running.track('rebuild', async () => service.rebuild?.({ ...context, print }));
    case 'run': {
      const roles = [...request.roles].join(' and ');
      logger.info({ roles: [...request.roles], node: process.version }, `${roles}: starting`);
      await running.track(roles, () => service.run({ ...context, roles: request.roles }));
      if (!signal.aborted) throw new Error(`${roles} ended though nobody asked it to`);
      logger.info('stopped');
    }
  }
}

function stillRunning(running: Running): readonly string[] {
  const names = running.names();
  return names.length > 0 ? names : process.getActiveResourcesInfo();
}
