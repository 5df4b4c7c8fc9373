import { readFile } from 'node:fs/promises';
import { type Database, type DatabaseOptions, openDatabase } from '@tradewind/database/database';
import { probeSchema } from '@tradewind/database/migrate';
import { topicSpecs } from '@tradewind/messaging/contract';
import { inboxChores, keepHouse, outboxChores } from '@tradewind/messaging/housekeeping';
import { type ListenOptions, listen } from '@tradewind/messaging/listen';
import type { EventLog } from '@tradewind/messaging/log';
import { eventLogOf, openLog } from '@tradewind/messaging/open-log';
import { type Relay, startRelay } from '@tradewind/messaging/relay';
import { uniqueId } from '@tradewind/messaging/unique-id';
import { delay, fullJitter } from '@tradewind/process/backoff';
import type { Role } from '@tradewind/process/command';
import type { Settings, Values } from '@tradewind/process/environment';
import { type Running, together } from '@tradewind/process/together';
import { type Waits, waitFor } from '@tradewind/process/wait-for';
import { type Server, serve } from '@tradewind/rpc/serve';
import { NO_SPANS, type SpanCounts } from '@tradewind/telemetry/exporter';
import type { Logger } from '@tradewind/telemetry/logger';
import { Metrics } from '@tradewind/telemetry/metrics';
import type { CommonConfig, ServiceDefinition, ServiceDeps } from './define.ts';
import { inspection } from './inspection.ts';
import { connectionWaits, measure, measureSpans } from './measure.ts';
import { readiness } from './readiness.ts';
import { workerParts } from './workers.ts';

export interface RunOptions<Own extends Settings> {
  readonly definition: ServiceDefinition<Own>;
  readonly config: CommonConfig & Values<Own>;
  readonly roles: ReadonlySet<Role>;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly waits: Waits;
  readonly running: Running;
  /** What became of spans; for /metrics. */
  readonly spans?: () => SpanCounts;
  /** Called once the port is open. */
  readonly onServing?: (server: Server) => void;
}

/** Opens a service's database as its configuration says. */
export function openServiceDatabase<Own extends Settings>(
  { name, schema }: ServiceDefinition<Own>,
  { DATABASE_URL: url, DATABASE_POOL: poolSize }: CommonConfig,
  logger: Logger,
  options: Partial<Pick<DatabaseOptions, 'name' | 'statementTimeoutMs' | 'onConnectionTaken'>> = {},
): Promise<Database> {
  return openDatabase({
    name,
    ...options,
    // Whoever gives statements any time gives locks any time.
    ...(options.statementTimeoutMs === 0 && { lockTimeoutMs: 0 }),
    url,
    schema,
    poolSize,
    onConnectionError: (error) => logger.warn({ err: error }, 'a database connection was lost'),
  });
}

/**
 * Runs a service's roles until the signal aborts. The port opens at once; what is missing is waited for in the background and named by
 * /health/ready: requests need the database with its schema, listening needs the event log as well.
 */
export async function runRoles<Own extends Settings>(options: RunOptions<Own>): Promise<void> {
  const { definition, config, roles, signal, logger, waits, running } = options;
  await using scope = new AsyncDisposableStack();
  const metrics = new Metrics(definition.name);
  const database = scope.use(
    await openServiceDatabase(definition, config, logger, { onConnectionTaken: connectionWaits(metrics) }),
  );
  let relay: Relay | undefined;
  let log: EventLog | undefined;
  const deps: ServiceDeps<CommonConfig & Values<Own>> = {
    database,
    wake: () => relay?.wake(),
    log: () => log,
    clock: () => new Date(),
    newId: uniqueId,
    logger,
    metrics,
    signal,
    config,
    scope,
  };
  measureSpans(metrics, options.spans ?? (() => NO_SPANS));
  const measures = measure({ definition, config, metrics, database, log: () => log, relay: () => relay });
  const health = readiness({ database, roles, waits, relay: () => relay, log: () => log });
  const port = roles.has('serve') ? config.PORT : config.HEALTH_PORT;
  const probes = roles.has('serve') ? config.HEALTH_PORT : undefined;
  const shared = roles.has('serve') && config.REUSE_PORT;
  await together(
    {
      ...(port !== undefined && {
        server: async (signal) => {
          if (shared) await readyToShare(database, { signal, logger, waits });
          await using server = await serve({
            name: definition.name,
            version: definition.version,
            host: config.HOST,
            port,
            reusePort: shared,
            ...(config.GRPC_PORT !== undefined && roles.has('serve') && { grpcPort: config.GRPC_PORT }),
            ...(await tlsOf(config)),
            implementations: roles.has('serve')
              ? [...definition.routes(deps), inspection({ ...definition, database, signal })]
              : [],
            ...(roles.has('serve') && definition.http && { http: definition.http(deps) }),
            health,
            metrics,
            logger,
          });
          waits.delete(sharing);
          options.onServing?.(server);
          await aborted(signal);
        },
      }),
      ...(probes !== undefined && {
        probes: async (signal) => {
          const { name, version } = definition;
          const { HOST: host } = config;
          await using _ = await serve({
            name,
            version,
            host,
            port: probes,
            metrics,
            implementations: [],
            health,
            logger,
          });
          await aborted(signal);
        },
      }),
      messaging: async (signal) => {
        await waitFor({ name: 'database', probe: () => database.probe(), signal, logger, waits });
        await waitFor({ name: 'schema', probe: () => probeSchema(database), signal, logger, waits });
        await using opened = await openWhenThere(definition, config, { signal, logger, waits });
        await using started = config.RELAY
          ? startRelay({ databaseUrl: config.DATABASE_URL, log: measures.relay.measured(opened), logger })
          : undefined;
        log = opened;
        relay = started;
        await together(
          {
            ...(roles.has('listen') && {
              listen: (signal) =>
                listenForEver({ ...options, signal }, database, opened, {
                  watch: measures.events,
                  onCommit: (outcome, effort) => {
                    if (outcome.told > 0) started?.wake();
                    measures.committed(outcome, effort);
                  },
                }),
            }),
            ...(roles.has('listen') && workerParts(definition.workers ?? {}, deps, logger)),
            housekeeping: (signal) =>
              keepHouse({
                database,
                chores: [
                  ...inboxChores(config.INBOX_WINDOW),
                  ...(config.RELAY ? [] : outboxChores(config.OUTBOX_WINDOW)),
                  ...(definition.chores ?? []),
                ],
                logger,
                signal,
              }),
            relay: aborted,
          },
          signal,
          running,
        );
      },
    },
    signal,
    running,
  );
}

const sharing = Symbol('port');

/** A port that others have too gets its part of the calls as soon as it is open; alone, it would open at once and say what is missing. */
async function readyToShare(
  database: Database,
  options: Pick<RunOptions<Settings>, 'signal' | 'logger' | 'waits'>,
): Promise<void> {
  const reason = 'not open yet: it is shared with other processes';
  options.waits.set(sharing, { name: 'port', since: new Date(), attempts: 0, reason });
  await waitFor({ name: 'database', probe: () => database.probe(), ...options });
  await waitFor({ name: 'schema', probe: () => probeSchema(database), ...options });
}

/** Opens the event log, with the topics that the service needs, once it is there. */
export async function openWhenThere<Own extends Settings>(
  { name, tells, subscriptions }: ServiceDefinition<Own>,
  config: CommonConfig,
  { signal, logger, waits }: Pick<RunOptions<Own>, 'signal' | 'logger' | 'waits'>,
): Promise<EventLog> {
  const topics = topicSpecs(
    name,
    tells,
    subscriptions.map(({ schema }) => schema),
  );
  // One opening at a time, also when it takes longer than the wait has patience.
  let opening: Promise<EventLog> | undefined;
  const open = () => {
    opening ??= openLog({ ...eventLogOf(config), logger }).catch((error: unknown) => {
      opening = undefined;
      throw error;
    });
    return opening;
  };
  try {
    await waitFor({
      name: 'event log',
      probe: async () => {
        for (const difference of await (await open()).createTopics(topics)) {
          logger.warn(
            difference,
            'a topic has another number of partitions than configured; it is left as it is',
          );
        }
      },
      signal,
      logger,
      waits,
      probeTimeoutMs: 15_000,
    });
    return await open();
  } catch (error) {
    void opening?.then(
      (log) => log[Symbol.asyncDispose](),
      () => undefined,
    );
    throw error;
  }
}

/** Listens again, with backoff, when the log was away at the wrong moment. */
async function listenForEver<Own extends Settings>(
  { definition, config, logger, signal, waits }: RunOptions<Own>,
  database: Database,
  log: EventLog,
  reports: Pick<ListenOptions, 'onCommit' | 'watch'>,
): Promise<void> {
  const { name, subscriptions } = definition;
  if (subscriptions.length === 0) return await aborted(signal);
  const key = Symbol('listening');
  for (let failures = 0; !signal.aborted; ) {
    waits.set(key, {
      name: 'event log',
      since: new Date(),
      attempts: failures,
      reason: 'joining the consumer group',
    });
    try {
      await listen({
        group: name,
        log,
        database,
        subscriptions,
        logger,
        signal,
        waits,
        retry: { attempts: config.RETRY_ATTEMPTS, baseMs: config.RETRY_BASE },
        maxHeld: config.HELD_MAX,
        consumerSpans: config.TRACE_CONSUMERS,
        ...reports,
        onJoined: () => {
          failures = 0;
          waits.delete(key);
          logger.info({ topics: subscriptions.map(({ topic }) => topic) }, 'listening');
        },
      });
    } catch (error) {
      logger.error({ err: error, failures }, 'listening failed; joining again');
      await delay(fullJitter(failures++, { baseMs: 100, capMs: 5_000 }), signal).catch(() => undefined);
    }
  }
  waits.delete(key);
}

async function tlsOf({ TLS_CERT, TLS_KEY }: CommonConfig) {
  if (TLS_CERT === undefined && TLS_KEY === undefined) return {};
  if (TLS_CERT === undefined || TLS_KEY === undefined) throw new Error('TLS_CERT and TLS_KEY go together');
  return { tls: { cert: await readFile(TLS_CERT), key: await readFile(TLS_KEY) } };
}

/** Resolves when the signal is aborted. */
async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
