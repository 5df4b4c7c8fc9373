import type { DescMessage } from '@bufbuild/protobuf';
import type { Database, Schema } from '@tradewind/database/database';
import type { BatchOutcome } from '@tradewind/messaging/batch';
import type { Chore } from '@tradewind/messaging/housekeeping';
import type { EventLog } from '@tradewind/messaging/log';
import type { Subscription } from '@tradewind/messaging/subscription';
import type { Settings, Values } from '@tradewind/process/environment';
import { duration, flag, integer, optional, port, serviceSettings } from '@tradewind/process/settings';
import type { Implementation } from '@tradewind/rpc/implement';
import type { ServeOptions } from '@tradewind/rpc/serve';
import type { Logger } from '@tradewind/telemetry/logger';
import type { Metrics } from '@tradewind/telemetry/metrics';
import type { DatabaseGauges } from './database-gauges.ts';
import type { Worker } from './workers.ts';

/** The settings that every service takes, with its own default port. */
export function commonSettings(defaultPort: number) {
  return {
    ...serviceSettings,
    PORT: port(defaultPort),
    /** A port that speaks gRPC alone, for clients that offer HTTP/1.1 and HTTP/2 over TLS. */
    GRPC_PORT: optional(port()),
    /** Where a process that only listens answers /health and /metrics; one that serves answers there too, for itself alone. */
    HEALTH_PORT: optional(port()),
    /**
     * Shares PORT and GRPC_PORT with other processes, so that the next one can take over before this one ends (Linux only). Dangerous where
     * nobody counts the processes: one that was forgotten goes on getting its part of the connections, and no start says "in use".
     */
    REUSE_PORT: flag(false),
    /** PEM files; both or none. */
    TLS_CERT: optional(textFile()),
    TLS_KEY: optional(textFile()),
    /** Connections to the database at most. */
    DATABASE_POOL: integer({ min: 2, max: 500, fallback: 10 }),
    /** Attempts at an event that fails, and the bound of the first wait between two. */
    RETRY_ATTEMPTS: integer({ min: 1, max: 100, fallback: 6 }),
    RETRY_BASE: duration('200ms'),
    /** Events held for retry at most; then the partitions that add to them pause. */
    HELD_MAX: integer({ min: 1, fallback: 10_000 }),
    /** How long handled events are remembered: longer than any retry, redelivery or replay of their records. */
    INBOX_WINDOW: duration('14d'),
    /** Whether the service moves its facts to the log itself; false where Debezium's outbox event router does it (docs/debezium.md). */
    RELAY: flag(true),
    /** How long what /metrics has asked of the database and the log is kept, before they are asked again. */
    METRICS_KEEP: duration('5s'),
    /** Without a relay: how long facts stay in the outbox, for whoever reads them from the database's log. */
    OUTBOX_WINDOW: duration('1h'),
  };
}

function textFile() {
  return {
    rule: 'the path of a file',
    parse: (value: string) => value || undefined,
  };
}

export type CommonConfig = Values<ReturnType<typeof commonSettings>>;

/** What a service's routes and handlers may use. Each takes from it what it needs. */
export interface ServiceDeps<Config = CommonConfig> {
  readonly database: Database;
  /** Says that a transaction that told facts has committed, so that the relay looks at once. */
  readonly wake: () => void;
  /** The event log, to look at; undefined until it was reached for the first time. Facts go by the outbox. */
  readonly log: () => EventLog | undefined;
  readonly clock: () => Date;
  /** A new UUID of version 7. */
  readonly newId: () => string;
  readonly logger: Logger;
  /** What /metrics tells; `metrics.of` gives the process's one of the definition's classes. */
  readonly metrics: Metrics;
  /** Aborted when the process stops. */
  readonly signal: AbortSignal;
  readonly config: Config;
  /** What is opened for the process's life: disposed after the last request, the newest first. */
  readonly scope: AsyncDisposableStack;
}

/** A service's own counters and histograms, made at start, so that they are told from then on. */
export type OwnMetrics = object & {
  /** Counts what a transaction of events did. Called once it has committed, and so never for what rolled back or was a repetition. */
  committed?(outcome: BatchOutcome): void;
};

/** What a rebuild of a read model works with. */
export interface RebuildContext {
  readonly database: Database;
  readonly log: EventLog;
  readonly logger: Logger;
  /** Aborted when it is to give up. */
  readonly signal: AbortSignal;
  /** A line for people. */
  readonly print: (line: string) => void;
}

/** A service's table of contents: everything that it answers, hears, tells and keeps is listed here; nothing is discovered. */
export interface ServiceDefinition<Own extends Settings = Settings> {
  readonly name: string;
  readonly version: string;
  readonly settings: ReturnType<typeof commonSettings> & Own;
  readonly schema: Schema;
  /** The events that it tells. */
  readonly tells: readonly DescMessage[];
  readonly subscriptions: readonly Subscription[];
  readonly routes: (deps: ServiceDeps<CommonConfig & Values<Own>>) => readonly Implementation[];
  /** REST and GraphQL. */
  readonly http?: (deps: ServiceDeps<CommonConfig & Values<Own>>) => NonNullable<ServeOptions['http']>;
  /** What it does by itself in processes that listen, by name; several processes may do it at the same time. */
  readonly workers?: Readonly<Record<string, Worker<ServiceDeps<CommonConfig & Values<Own>>>>>;
  /** What it counts besides what every service does. */
  readonly metrics?: readonly (new (
    metrics: Metrics,
  ) => OwnMetrics)[];
  /** What its tables say of how it stands. */
  readonly gauges?: readonly DatabaseGauges[];
  /** Besides the inbox's. */
  readonly chores?: readonly Chore[];
  /** Makes its read model again from the event log, where it has one. */
  readonly rebuild?: (context: RebuildContext) => Promise<void>;
}

/** Checks a definition's types. */
export function defineService<Own extends Settings>(
  definition: ServiceDefinition<Own>,
): ServiceDefinition<Own> {
  return definition;
}
