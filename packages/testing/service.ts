import { type Database, openDatabase } from '@tradewind/database/database';
import { migrateUp } from '@tradewind/database/migrate';
import { topicSpecs } from '@tradewind/messaging/contract';
import type { EventLog } from '@tradewind/messaging/log';
import { openLog } from '@tradewind/messaging/open-log';
import type { Settings } from '@tradewind/process/environment';
import { Running } from '@tradewind/process/together';
import { Waits } from '@tradewind/process/wait-for';
import type { Server } from '@tradewind/rpc/serve';
import type { ServiceDefinition } from '@tradewind/service/define';
import { runRoles } from '@tradewind/service/open';
import { configOf } from '@tradewind/service/run';
import { createLogger } from '@tradewind/telemetry/logger';
import { createDatabase } from './postgres.ts';

export interface TestServiceOptions {
  /** Settings besides the addresses, as environment variables. */
  readonly env?: Readonly<Record<string, string>>;
  /** Whether it serves; true when left out. */
  readonly serve?: boolean;
  /** Whether it listens; true when left out. */
  readonly listen?: boolean;
  /** An existing database and log, to restart on or to share; new ones when left out. */
  readonly databaseUrl?: string;
  readonly logUrl?: string;
}

export interface TestService extends AsyncDisposable {
  /** Of its port, on 127.0.0.1; empty when it does not serve. */
  readonly url: string;
  /** For looking inside; not the pool that the service works with. */
  readonly database: Database;
  readonly databaseUrl: string;
  /** For producers and consumers of the test's own. */
  readonly log: EventLog;
  readonly logUrl: string;
  /** Stops it as SIGTERM does; its database and log stay until it is disposed. Rejects with what it failed of. */
  stop(): Promise<void>;
}

/** Runs a service as it is, in this process: on a free port, with a real database that is migrated, and a real event log. */
export async function startService<Own extends Settings>(
  definition: ServiceDefinition<Own>,
  options: TestServiceOptions = {},
): Promise<TestService> {
  await using scope = new AsyncDisposableStack();
  const own = async (prefix: string) => scope.use(await createDatabase(prefix)).url;
  const databaseUrl = options.databaseUrl ?? (await own(definition.name));
  const logUrl = options.logUrl ?? (await own('log'));
  const logger = createLogger({
    service: definition.name,
    level: (process.env.TEST_LOG_LEVEL as 'info') ?? 'silent',
  });
  const database = scope.use(
    await openDatabase({ url: databaseUrl, schema: definition.schema, name: 'test', poolSize: 3 }),
  );
  await migrateUp(database);
  const log = scope.use(await openLog({ url: logUrl, logger }));
  // The service makes them too, but a test may be faster with its first event.
  const hears = definition.subscriptions.map(({ schema }) => schema);
  await log.createTopics(topicSpecs(definition.name, definition.tells, hears));
  const serves = options.serve ?? true;
  const env = {
    DATABASE_URL: databaseUrl,
    EVENT_LOG_URL: logUrl,
    PORT: '0',
    RETRY_BASE: '5ms',
    ...options.env,
  };
  const stop = new AbortController();
  const waits = new Waits();
  const serving = Promise.withResolvers<Server | undefined>();
  if (!serves) serving.resolve(undefined);
  const ended = runRoles({
    definition,
    config: configOf(definition, { env }),
    roles: new Set([
      ...(serves ? (['serve'] as const) : []),
      ...((options.listen ?? true) ? (['listen'] as const) : []),
    ]),
    signal: stop.signal,
    logger,
    waits,
    running: new Running(),
    onServing: serving.resolve,
  }).catch((error: unknown) => {
    if (error !== stop.signal.reason) throw error;
  });
  ended.catch(serving.reject);
  const server = await serving.promise;
  const stopped = async () => {
    stop.abort();
    await ended;
  };
  const kept = scope.move();
  return {
    url: server?.url ?? '',
    database,
    databaseUrl,
    log,
    logUrl,
    stop: stopped,
    async [Symbol.asyncDispose]() {
      await stopped().finally(() => kept.disposeAsync());
    },
  };
}
