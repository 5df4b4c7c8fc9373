import { lookUp, misspelt } from '@tradewind/process/variables';
import { maskUrl } from '@tradewind/telemetry/logger';
import { freePort } from '@tradewind/testing/port';
import { Children } from './children.ts';
import {
  type Addresses,
  baseUrl,
  migrate,
  postgresPlan,
  processesOf,
  processOf,
  type ServiceProcess,
  sharesPorts,
} from './launch.ts';
import { needsPostgres, type StartOptions, settingsOf, startOptions } from './options.ts';
import { endOrphans, POSTGRES } from './orphans.ts';
import { checkPorts } from './ports.ts';
import { type FunctionSpec, variable } from './services.ts';
import { StateFile } from './state.ts';

/** A Tradewind that runs. Its processes go by name: `postgres`, `ratings-lambda`, `order`, or when split `order serve`, `order listen`. */
export interface Running extends AsyncDisposable {
  readonly options: StartOptions;
  readonly addresses: Addresses;
  /** Process ids by name, of those that run now. */
  pids(): Readonly<Record<string, number>>;
  /** Sends a signal, SIGKILL when left out; a process that ends of it is started again. */
  kill(name: string, signal?: NodeJS.Signals): void;
  /** Ends a process in order and leaves it ended until it is released. */
  hold(name: string): Promise<void>;
  /** Starts a held process again; resolves when it is ready. */
  release(name: string): Promise<void>;
  /** Ends a process in order and starts it again; with REUSE_PORT, one that serves ends when the next one is ready. Resolves then. */
  restart(name: string): Promise<void>;
  /** Resolves when one process, or each, is ready. */
  ready(name?: string): Promise<void>;
  /** Ends everything in order. */
  stop(): Promise<void>;
}

export interface StartHooks {
  /** Progress and troubles, a line each. */
  readonly say?: (line: string) => void;
  /** Gives up starting. What runs already is ended. Once started, `stop` ends it. */
  readonly signal?: AbortSignal;
  /** Ends whatever runs by force, without waiting for anything. */
  readonly force?: AbortSignal;
}

/**
 * Starts everything: PostgreSQL, databases, schemas, services, catalogue. Resolves when all of it is ready.
 * Rejects, with everything ended that it had started, with AlreadyRunning, a taken port, or what went wrong.
 */
export async function startTradewind(
  given: Partial<StartOptions> & { readonly dataDir: string },
  { say = () => undefined, signal = new AbortController().signal, force }: StartHooks = {},
): Promise<Running> {
  const options = await withFunctionPorts(startOptions(given, given.env));
  const embedded = needsPostgres(options);
  const ports = { ...options.ports, ...(embedded && { [POSTGRES]: options.postgresPort }) };
  await using scope = new AsyncDisposableStack();
  const { file, orphans } = StateFile.claim(options.dataDir, ports);
  scope.use(file);
  await endOrphans(orphans, file, say);
  await checkPorts(wantedPorts(ports, options.host));
  signal.throwIfAborted();

  const children = new Children(options, file, say);
  scope.defer(() => children.stop());
  for (const line of misspelt(options.env, Object.keys(settingsOf(options.services, options.functions))))
    say(line);
  const shared = lookUp(options.env, 'DATABASE_URL');
  if (shared) {
    const names = options.services.map(({ name }) => variable(name, 'DATABASE_URL'));
    say(
      `${shared.variable} is left aside: each service has a database of its own, chosen by ${names.join(', ')}`,
    );
  }
  force?.addEventListener('abort', () => children.force(), { once: true });
  const addresses = await openPostgres(options, embedded, children, signal);
  for (const spec of localFunctions(options)) {
    children.say(`${spec.name}: starting`);
    const { plan, readyUrl } = await processOf(spec, options);
    await children.start(plan, signal, readyUrl);
  }
  await startServices(options, addresses, children, signal);
  await children.ready(signal);
  if (options.seed === 'catalogue') await seed(addresses, signal, say);

  const kept = scope.move();
  const stop = () => kept.disposeAsync();
  return {
    options,
    addresses,
    pids: () => children.pids(),
    kill: (name, how = 'SIGKILL') => void children.named(name).kill(how),
    hold: (name) => children.hold(name),
    async release(name) {
      await children.named(name).start();
      await children.ready(undefined, name);
    },
    async restart(name) {
      const fresh = await overlapping(name, options, addresses);
      if (fresh) return await children.replace(fresh);
      await children.hold(name);
      await children.named(name).start();
      await children.ready(undefined, name);
    },
    ready: (name) => children.ready(undefined, name),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** Those that nobody runs elsewhere. */
function localFunctions({ functions, functionUrls }: StartOptions): readonly FunctionSpec[] {
  return functions.filter(({ name }) => functionUrls[name] === undefined);
}

/** With a port for each function that runs here, and none for others. */
async function withFunctionPorts(options: StartOptions): Promise<StartOptions> {
  const ports: Record<string, number> = { ...options.ports };
  for (const { name } of options.functions) delete ports[name];
  for (const { name } of localFunctions(options)) ports[name] = options.ports[name] ?? (await freePort());
  return { ...options, ports };
}

/** A second process like the one of that name, when both can have its port at the same time. */
async function overlapping(
  name: string,
  options: StartOptions,
  addresses: Addresses,
): Promise<ServiceProcess | undefined> {
  if (!sharesPorts(options)) return undefined;
  const all = await Promise.all(options.services.map((spec) => processesOf(spec, options, addresses)));
  return all.flat().find(({ plan, serves }) => serves && plan.name === name);
}

function wantedPorts(ports: Readonly<Record<string, number>>, host: string) {
  return Object.entries(ports).map(([name, port]) => ({
    name: name === POSTGRES ? 'PostgreSQL' : name,
    // The embedded server has no password and stays on this machine.
    host: name === POSTGRES ? '127.0.0.1' : host,
    port,
    variable: name === POSTGRES ? 'TRADEWIND_POSTGRES_PORT' : variable(name, 'PORT'),
  }));
}

/** Migrates and starts the services side by side. When one fails the others give up, and nothing is on its way any more. */
async function startServices(
  options: StartOptions,
  addresses: Addresses,
  children: Children,
  outer: AbortSignal,
): Promise<void> {
  const failed = new AbortController();
  const signal = AbortSignal.any([outer, failed.signal]);
  await Promise.allSettled(
    options.services.map(async (spec) => {
      try {
        children.say(`${spec.name}: migrating`);
        await migrate(spec, options, addresses, children.record, signal);
        children.say(`${spec.name}: starting`);
        for (const { plan, readyUrl } of await processesOf(spec, options, addresses))
          await children.start(plan, signal, readyUrl);
      } catch (error) {
        failed.abort(error);
      }
    }),
  );
  signal.throwIfAborted();
}

async function openPostgres(
  options: StartOptions,
  embedded: boolean,
  children: Children,
  signal: AbortSignal,
): Promise<Addresses> {
  const { plan, server } = postgresPlan(options, (line) => children.say(line));
  const own = (database: string) => server().url(database);
  if (embedded) {
    await children.start(plan, signal);
    const missing = options.services
      .map(({ name }) => name)
      .filter((name) => options.databaseUrls[name] === undefined);
    for (const name of options.eventLogUrl === undefined ? [...missing, 'log'] : missing)
      await server().createDatabase(name);
  }
  const databaseUrls = Object.fromEntries(
    options.services.map(({ name }) => [name, options.databaseUrls[name] ?? own(name)]),
  );
  for (const [name, url] of Object.entries(options.databaseUrls))
    children.say(`${name}: uses ${maskUrl(url)}`);
  const serviceUrls = Object.fromEntries(
    options.services.map(({ name }) => [name, baseUrl(options.host, options.ports[name])]),
  );
  const functionUrls = Object.fromEntries(
    options.functions.map(({ name }) => [
      name,
      options.functionUrls[name] ?? baseUrl(options.host, options.ports[name]),
    ]),
  );
  for (const [name, url] of Object.entries(options.functionUrls))
    children.say(`${name}: uses ${maskUrl(url)}`);
  return { databaseUrls, eventLogUrl: options.eventLogUrl ?? own('log'), serviceUrls, functionUrls };
}

async function seed(
  { serviceUrls }: Addresses,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<void> {
  const { product: productUrl, stock: stockUrl, ratings: ratingsUrl } = serviceUrls;
  if (productUrl === undefined || stockUrl === undefined) return;
  say('loading the catalogue');
  const { seedCatalogue, seedTalks } = await import('../seed.ts');
  const { products } = await seedCatalogue({ productUrl, stockUrl, signal, onProgress: say });
  say(`the catalogue is there: ${products} products`);
  if (ratingsUrl !== undefined) await seedTalks({ ratingsUrl, signal });
}
