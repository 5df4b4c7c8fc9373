import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { withSettings } from '@tradewind/process/variables';
import { type Broker, startBroker } from '@tradewind/testing/kafka';
import { freePort } from '@tradewind/testing/port';
import { type Books, openBooks, readCatalogue } from '@tradewind/tools/load/books.ts';
import { restock } from '@tradewind/tools/load/restock.ts';
import { services } from '@tradewind/tools/start/services.ts';
import { type Running, startTradewind } from '@tradewind/tools/start/tradewind.ts';
import { Client } from 'pg';
import type { LogName } from './options.ts';
import { startWorker, type Worker } from './worker.ts';

/** The whole system on real processes, with the load and the baseline beside it. */
export interface Stage {
  /** The event log that the services settle their sagas on. */
  readonly log: LogName;
  readonly running: Running;
  /** Process ids by name: the services, PostgreSQL, Kafka. */
  pids(): Readonly<Record<string, number>>;
  readonly load: Worker;
  readonly baseline: Worker;
  /** For looking inside, by database: `order`, `stock`, `product`, `baseline`. */
  readonly look: Readonly<Record<'order' | 'product' | 'stock' | 'baseline', Client>>;
  readonly books: Books;
  /** Ids of the catalogue, each with plenty of stock. */
  readonly products: readonly number[];
}

/** Pieces of each product to begin with: no order of a run is refused for want of goods. */
const PLENTY = 50_000_000;

export interface RunContext {
  readonly root: string;
  readonly signal: AbortSignal;
  readonly force: AbortSignal;
  readonly say: (line: string) => void;
  /** Folder for CPU profiles of the services; none are made when left out. */
  readonly profile: string | undefined;
}

export interface StartOwn {
  readonly only?: readonly string[];
  readonly split?: boolean;
}

/** A Tradewind of its own: new data, free ports. */
export async function startOwn(
  { root, signal, force, say, profile }: RunContext,
  dataDir: string,
  eventLogUrl?: string,
  more: Readonly<Record<string, string>> = {},
  /** `only`: services by name, all when left out. `split`: serve and listen are processes of their own. */
  { only = services.map(({ name }) => name), split = false }: StartOwn = {},
): Promise<Running> {
  const ports = await Promise.all(only.map(async (name) => [name, await freePort()] as const));
  const postgresPort = await freePort();
  const env = withSettings(process.env, more);
  if (profile !== undefined) env.NODE_OPTIONS = `--cpu-prof --cpu-prof-dir=${profile}`;
  return await startTradewind(
    {
      dataDir: join(root, dataDir),
      ports: Object.fromEntries(ports),
      services: services.filter(({ name }) => only.includes(name)),
      seed: 'catalogue',
      split,
      databaseUrls: {},
      ...(eventLogUrl !== undefined && { eventLogUrl }),
      host: '127.0.0.1',
      env,
      postgresPort,
    },
    { signal, force, say },
  );
}

/** Opens the stage; everything that it starts ends with the scope. */
export async function openStage(
  scope: AsyncDisposableStack,
  context: RunContext,
  log: LogName,
  { name = log, env = {} }: { readonly name?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Stage> {
  if (context.profile !== undefined) mkdirSync(context.profile, { recursive: true });
  const broker = log === 'kafka' ? scope.use(await openBroker(context, 'stage')) : undefined;
  const running = scope.use(await startOwn(context, `stage-${name}`, broker?.url, env));
  const pids = () => ({
    ...running.pids(),
    ...(broker?.pid !== undefined && { kafka: broker.pid }),
  });
  const { databaseUrls, serviceUrls, eventLogUrl } = running.addresses;
  const of = (urls: Readonly<Record<string, string>>, name: string) => urls[name] ?? '';
  const orderDatabase = of(databaseUrls, 'order');
  const baselineDatabase = Object.assign(new URL(orderDatabase), { pathname: '/baseline' }).href;
  const order = await connect(scope, orderDatabase);
  await order.query('CREATE DATABASE baseline');
  await migrateAsOrder(baselineDatabase, eventLogUrl);
  const look = {
    order,
    product: await connect(scope, of(databaseUrls, 'product')),
    stock: await connect(scope, of(databaseUrls, 'stock')),
    baseline: await connect(scope, baselineDatabase),
  };
  for (const client of [look.order, look.stock, look.baseline]) await assertDurable(client);
  const books = openBooks({
    orderUrl: of(serviceUrls, 'order'),
    productUrl: of(serviceUrls, 'product'),
    stockUrl: of(serviceUrls, 'stock'),
    signal: context.signal,
    patienceMs: 30_000,
  });
  const products = await readCatalogue(books);
  const plenty = new Map(products.map((id) => [id, PLENTY]));
  await restock(books, plenty, { key: 'bench', share: 1, signal: context.signal });
  const load = scope.use(
    await startWorker(context.signal, './load.ts', of(serviceUrls, 'order'), orderDatabase),
  );
  const baseline = scope.use(await startWorker(context.signal, './baseline.ts', baselineDatabase));
  return { log, running, pids, load, baseline, look, books, products };
}

/** A Kafka of its own. */
export async function openBroker({ root, say }: RunContext, name: string): Promise<Broker> {
  say('starting Kafka');
  return await startBroker({ dataDir: join(root, `kafka-${name}`) });
}

async function connect(scope: AsyncDisposableStack, url: string): Promise<Client> {
  const client = new Client({ connectionString: url, application_name: 'bench' });
  // The server may end first; whoever asks next is told.
  client.on('error', () => undefined);
  await client.connect();
  scope.defer(() => client.end().catch(() => undefined));
  return client;
}

/** The order service's own schema, made by its own steps. */
async function migrateAsOrder(databaseUrl: string, eventLogUrl: string): Promise<void> {
  const main = services.find(({ name }) => name === 'order')?.main ?? '';
  const env = withSettings(process.env, { DATABASE_URL: databaseUrl, EVENT_LOG_URL: eventLogUrl });
  const child = spawn(process.execPath, [main, 'migrate'], { env, stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`migrating the baseline's database ended with ${code}`);
}

/** @throws Error unless the server forgets nothing of what it has acknowledged */
export async function assertDurable(client: Client): Promise<void> {
  for (const setting of ['fsync', 'full_page_writes', 'synchronous_commit']) {
    const { rows } = await client.query<Record<string, string>>(`SHOW ${setting}`);
    if (rows[0]?.[setting] !== 'on')
      throw new Error(`${setting} is ${rows[0]?.[setting]}: nothing measured so would count`);
  }
}
