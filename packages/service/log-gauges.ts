import { redriveTopic } from '@tradewind/messaging/contract';
import type { EventLog } from '@tradewind/messaging/log';
import type { Relay } from '@tradewind/messaging/relay';
import type { Metrics } from '@tradewind/telemetry/metrics';
import { Asked, type AskedOptions } from './asked.ts';

export interface LogGaugesOptions extends AskedOptions {
  readonly group: string;
  /** That the group hears; none when it hears nothing. */
  readonly topics: readonly string[];
  /** Once it was opened. */
  readonly log: () => EventLog | undefined;
  readonly relay: () => Relay | undefined;
}

/** Adds whether the log answers, and how far the group is behind. Every process tells, so that it is seen also while nobody listens. */
export function addLogGauges(metrics: Metrics, options: LogGaugesOptions): void {
  const { group, topics, log, relay } = options;
  const opened = () => {
    const there = log();
    if (!there) throw new Error('the log was not reached yet');
    return there;
  };
  const answers = new Asked(async () => {
    await opened().probe();
    return true;
  }, options);
  metrics.gauge(
    { name: 'tradewind_event_log_up', help: 'Whether the event log answers: 1 or 0' },
    async () => [{ value: (await answers.get()) ? 1 : 0 }],
  );
  metrics.gauge(
    { name: 'tradewind_relay_owner', help: 'Whether this process owns the outbox and relays it: 1 or 0' },
    () => {
      const there = relay();
      return there ? [{ value: there.owner ? 1 : 0 }] : [];
    },
  );
  if (topics.length === 0) return;
  const lag = new Asked(
    async () => byTopic(await opened().lag(group, [...topics, redriveTopic(group)])),
    options,
  );
  const about = {
    name: 'tradewind_consumer_lag_records',
    help: 'Records on the log that the group has not dealt with',
    labels: ['topic', 'group'],
  };
  metrics.gauge(about, async () =>
    [...((await lag.get()) ?? [])].map(([topic, value]) => ({ value, labels: [topic, group] })),
  );
}

function byTopic(partitions: Awaited<ReturnType<EventLog['lag']>>): Map<string, number> {
  const sums = new Map<string, number>();
  for (const { topic, lag } of partitions) sums.set(topic, (sums.get(topic) ?? 0) + Number(lag));
  return sums;
}
