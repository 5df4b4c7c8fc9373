import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { readEnvironment, type Sources } from '@tradewind/process/environment';
import {
  eventLogUrl,
  optional,
  port,
  postgresUrl,
  type Setting,
  text,
  url,
} from '@tradewind/process/settings';
import {
  functions as allFunctions,
  services as allServices,
  type FunctionSpec,
  type ServiceSpec,
  variable,
} from './services.ts';

/** Everything that a start needs to know. */
export interface StartOptions {
  /** Absolute. */
  readonly dataDir: string;
  readonly seed: 'none' | 'catalogue';
  /** `serve` and `listen` of each service as a process each. */
  readonly split: boolean;
  readonly host: string;
  readonly postgresPort: number;
  /** By service, and by function; of a function that has none here, the system chooses it. */
  readonly ports: Readonly<Record<string, number>>;
  /** Databases that somebody else runs, by service. */
  readonly databaseUrls: Readonly<Record<string, string>>;
  readonly eventLogUrl?: string;
  readonly services: readonly ServiceSpec[];
  readonly functions: readonly FunctionSpec[];
  /** Functions that run elsewhere, by name; they are not started. */
  readonly functionUrls: Readonly<Record<string, string>>;
  /** What the children inherit. */
  readonly env: Sources['env'];
}

/** A command line that is wrong; the message says what. */
export class UsageError extends Error {}

/** Reads the command line of the starter, without the program's own name. `help` asks for the usage text instead. */
export function parseFlags(
  argv: readonly string[],
): { dataDir: string; seed: StartOptions['seed']; split: boolean } | 'help' {
  let values: ReturnType<typeof parse>['values'];
  try {
    ({ values } = parse(argv));
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  if (values.help) return 'help';
  const { data, seed, split } = values;
  if (seed !== 'none' && seed !== 'catalogue')
    throw new UsageError(`--seed must be none or catalogue, not "${seed}"`);
  return { dataDir: data, seed, split };
}

function parse(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    options: {
      data: { type: 'string', default: '.tradewind' },
      seed: { type: 'string', default: 'catalogue' },
      split: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false, short: 'h' },
    },
  });
}

/**
 * Completes options from the environment.
 * @throws ConfigurationError that lists everything that is wrong with it
 */
export function startOptions(
  given: Partial<StartOptions> & { readonly dataDir: string },
  env: Sources['env'] = process.env,
): StartOptions {
  const specs = given.services ?? allServices;
  // Who brings services of their own brings what these call, too.
  const functions = given.functions ?? (given.services ? [] : allFunctions);
  const values = readEnvironment(settingsOf(specs, functions), { env });
  const urlOf = (name: string) => (values[name] === undefined ? undefined : String(values[name]));
  const logUrl = urlOf('EVENT_LOG_URL');
  const known = (all: readonly { readonly name: string }[], kind: string) =>
    Object.fromEntries(
      all.flatMap(({ name }) => {
        const url = urlOf(variable(name, kind));
        return url === undefined ? [] : [[name, url] as const];
      }),
    );
  return {
    seed: 'catalogue',
    split: false,
    host: String(values.HOST),
    postgresPort: Number(values.TRADEWIND_POSTGRES_PORT),
    ports: Object.fromEntries(
      [...specs, ...functions].map(({ name }) => [name, Number(values[variable(name, 'PORT')])]),
    ),
    databaseUrls: known(specs, 'DATABASE_URL'),
    functionUrls: known(functions, 'URL'),
    ...(logUrl === undefined ? {} : { eventLogUrl: logUrl }),
    services: specs,
    functions,
    env,
    ...given,
    dataDir: resolve(given.dataDir),
  };
}

/** What the starter itself takes from the environment. */
export function settingsOf(
  specs: readonly ServiceSpec[],
  functions: readonly FunctionSpec[] = [],
): Readonly<Record<string, Setting<string | number | undefined>>> {
  return {
    HOST: text('127.0.0.1'),
    TRADEWIND_POSTGRES_PORT: port(25_432),
    EVENT_LOG_URL: optional(eventLogUrl()),
    ...Object.fromEntries(
      specs.flatMap(({ name, defaultPort }): [string, Setting<string | number | undefined>][] => [
        [variable(name, 'PORT'), port(defaultPort)],
        [variable(name, 'DATABASE_URL'), optional(postgresUrl())],
      ]),
    ),
    ...Object.fromEntries(
      functions.flatMap(({ name, defaultPort }): [string, Setting<string | number | undefined>][] => [
        [variable(name, 'PORT'), port(defaultPort)],
        [variable(name, 'URL'), optional(url({ protocols: ['http', 'https'] }))],
      ]),
    ),
  };
}

/** Whether the embedded PostgreSQL is needed, that is, whether any address is not given. */
export function needsPostgres({ services, databaseUrls, eventLogUrl }: StartOptions): boolean {
  return eventLogUrl === undefined || services.some(({ name }) => databaseUrls[name] === undefined);
}

/** The log of a process, by its name. */
export function logPath({ dataDir }: Pick<StartOptions, 'dataDir'>, name: string): string {
  return join(dataDir, 'logs', `${name.replaceAll(' ', '-')}.log`);
}

export const USAGE = `npm start [-- options]: PostgreSQL, the databases, the catalogue and every service, until Ctrl-C.

  --data DIR        where the data and the logs are kept; .tradewind when left out
  --seed catalogue  puts the sample products, their stock, and two talks in (the default); --seed none does not
  --split           runs "serve" and "listen" of each service as two processes
  --help            this text

Environment:
  PRODUCT_PORT  ORDER_PORT  STOCK_PORT  RATINGS_PORT
                                              8080, 3000, 50051 and 8082 when left out
  RATINGS_LAMBDA_PORT                         8089 when left out
  RATINGS_LAMBDA_URL                          a statistics function elsewhere, instead of the one on this machine
  TRADEWIND_POSTGRES_PORT                     25432 when left out
  HOST                                        the address to bind; 127.0.0.1 when left out
  PRODUCT_DATABASE_URL  ORDER_DATABASE_URL  STOCK_DATABASE_URL  RATINGS_DATABASE_URL
                                              PostgreSQL servers of your own, instead of the one from npm
  EVENT_LOG_URL                               postgres://… or kafka://localhost:9092 (npm run kafka); PostgreSQL from npm when
                                              left out
  LOG_LEVEL                                   of the services; info when left out
Each counts with APP_ in front, too, and then wins: APP_ORDER_PORT. docs/configuration.md has the rest.
`;
