import type { Database } from '@tradewind/database/database';
import type { Waits } from '@tradewind/process/wait-for';
import type { Logger } from '@tradewind/telemetry/logger';
import type { ConsumerSpans } from '@tradewind/telemetry/tracing-options';
import type { BatchOutcome } from './batch.ts';
import { redriveTopic } from './contract.ts';
import { Listener } from './listener.ts';
import type { EventLog } from './log.ts';
import type { RetryPolicy } from './retry.ts';
import type { Subscription } from './subscription.ts';
import type { Effort, Watch } from './watch.ts';

export interface ListenOptions {
  /** The service's name: its consumer group, and the source of the facts that its handlers tell. */
  readonly group: string;
  readonly log: EventLog;
  readonly database: Database;
  readonly subscriptions: readonly Subscription[];
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Called after each commit, with what it did; wakes the relay, counts. */
  readonly onCommit?: (outcome: BatchOutcome, effort: Effort) => void;
  /** Hears of attempts that fail and of conflicts. */
  readonly watch?: Watch;
  /** Called once the group was joined. */
  readonly onJoined?: () => void;
  readonly waits?: Waits;
  readonly retry?: RetryPolicy;
  /** Records a transaction at most; 1,000 when left out. */
  readonly maxBatch?: number;
  /** Events held for retry at most, before the partitions that add to them pause; 10,000 when left out. */
  readonly maxHeld?: number;
  readonly clock?: () => Date;
  /** How the spans of events belong to those that told them; `child` when left out. */
  readonly consumerSpans?: ConsumerSpans;
}

/**
 * Listens to the topics of the subscriptions until the signal aborts: receives records of all partitions, settles them in one transaction,
 * then commits their offsets. Every event takes effect once; an event that keeps failing becomes a dead letter and holds up nothing but
 * later events of its own topic and key. Topics have to exist.
 */
export async function listen(options: ListenOptions): Promise<void> {
  const { group, log, subscriptions, maxBatch = 1_000 } = options;
  const topics = [...subscriptions.map(({ topic }) => topic), redriveTopic(group)];
  const broken = new AbortController();
  const signal = AbortSignal.any([options.signal, broken.signal]);
  await using consumer = await log.consumer({ group, topics, maxRecords: maxBatch });
  options.onJoined?.();
  const listener = new Listener({ ...options, maxBatch, signal }, consumer);
  const draining = listener.drain().catch((error: unknown) => broken.abort(error));
  try {
    while (!signal.aborted) {
      const records = await consumer.receive(signal);
      // Records that come during the shutdown are left for the next owner.
      if (records.length > 0 && !signal.aborted) await orAbandon(listener.take(records), signal);
    }
  } catch (error) {
    if (!signal.aborted) broken.abort(error);
  } finally {
    await orAbandon(
      draining.then(() => listener.finish()),
      signal,
    );
    await listener[Symbol.asyncDispose]();
  }
  if (broken.signal.aborted) throw broken.signal.reason;
}

/** How long a batch may still take once it is time to stop. What is abandoned rolls back and is received again. */
const ABANDON_MS = 3_000;

async function orAbandon(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const over = Promise.withResolvers<void>();
  let timer: NodeJS.Timeout | undefined;
  const start = () => {
    timer = setTimeout(over.resolve, ABANDON_MS);
  };
  if (signal.aborted) start();
  else signal.addEventListener('abort', start, { once: true });
  try {
    work.catch(() => undefined);
    await Promise.race([work, over.promise]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', start);
  }
}
