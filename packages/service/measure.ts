import type { Database } from '@tradewind/database/database';
import type { BatchOutcome } from '@tradewind/messaging/batch';
import { topicOf } from '@tradewind/messaging/contract';
import type { EventLog } from '@tradewind/messaging/log';
import type { Relay } from '@tradewind/messaging/relay';
import type { Effort } from '@tradewind/messaging/watch';
import type { Settings } from '@tradewind/process/environment';
import type { SpanCounts } from '@tradewind/telemetry/exporter';
import type { Metrics } from '@tradewind/telemetry/metrics';
import { addGauges, addPoolGauges, messagingGauges } from './database-gauges.ts';
import type { CommonConfig, ServiceDefinition } from './define.ts';
import { EventMetrics } from './event-metrics.ts';
import { addLogGauges } from './log-gauges.ts';
import { RelayMetrics } from './relay-metrics.ts';

export interface MeasureOptions<Own extends Settings> {
  readonly definition: ServiceDefinition<Own>;
  readonly config: CommonConfig;
  readonly metrics: Metrics;
  readonly database: Database;
  /** The event log once it was opened. */
  readonly log: () => EventLog | undefined;
  readonly relay: () => Relay | undefined;
}

/** What counts in a process of a service. */
export interface Measures {
  readonly events: EventMetrics;
  readonly relay: RelayMetrics;
  /** Counts what a transaction of the listener did. */
  readonly committed: (outcome: BatchOutcome, effort: Effort) => void;
}

/** Measures a service: what every service does, and what its definition lists. All of it is told from the start, as 0 where nothing has happened. */
export function measure<Own extends Settings>(options: MeasureOptions<Own>): Measures {
  const { definition, config, metrics, database, log, relay } = options;
  const { name: group, subscriptions, tells, gauges = [] } = definition;
  const topics = subscriptions.map(({ topic }) => topic);
  const asking = { keepMs: config.METRICS_KEEP };
  const events = metrics.of(EventMetrics);
  events.prepare(topics);
  const sent = metrics.of(RelayMetrics);
  sent.prepare(tells.map((schema) => topicOf(schema).name));
  const own = (definition.metrics ?? []).map((Class) => metrics.of(Class));
  // First, or a scrape would see the connections that it needs itself.
  addPoolGauges(metrics, database);
  const answers = addGauges(metrics, database, messagingGauges(group, config.RELAY), asking);
  metrics.gauge(
    { name: 'tradewind_database_up', help: 'Whether the database answers within a second: 1 or 0' },
    async () => [{ value: (await answers.get()) ? 1 : 0 }],
  );
  for (const one of gauges) addGauges(metrics, database, one, asking);
  addLogGauges(metrics, { group, topics, log, relay, ...asking });
  const limit = { name: 'tradewind_held_events_max', help: 'Held events at which partitions pause' };
  metrics.gauge(limit, () => [{ value: config.HELD_MAX }]);
  return {
    events,
    relay: sent,
    committed(outcome, effort) {
      events.committed(outcome, effort);
      for (const one of own) one.committed?.(outcome);
    },
  };
}

/** What became of the spans of this process. */
export function measureSpans(metrics: Metrics, spans: () => SpanCounts): void {
  metrics.counted(
    { name: 'tradewind_spans_ended_total', help: 'Spans that were recorded' },
    () => spans().ended,
  );
  metrics.counted(
    { name: 'tradewind_spans_exported_total', help: 'Spans that have left' },
    () => spans().exported,
  );
  metrics.counted(
    { name: 'tradewind_spans_lost_total', help: 'Spans that nobody took' },
    () => spans().failed,
  );
}

/** Where the waiting for a connection is counted. */
export function connectionWaits(metrics: Metrics): (seconds: number) => void {
  const waits = metrics
    .histogram({
      name: 'tradewind_database_connection_wait_seconds',
      help: 'Time until work got a connection of the pool',
    })
    .at();
  return (seconds) => waits.observe(seconds);
}
