import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import type { Database } from '@tradewind/database/database';
import { topicOf } from '@tradewind/messaging/contract';
import { contextOf, decodeEvent } from '@tradewind/messaging/event';
import type { EventLog, ReceivedRecord, TopicPartition } from '@tradewind/messaging/log';
import type { RebuildContext } from '@tradewind/service/define';
import type { PoolClient } from 'pg';
import {
  joinRebuild,
  nameOf,
  ONE_REBUILD_LOCK,
  outcomesOf,
  REBUILD_LOCK,
  redrivenPage,
  type Seen,
  SWAP_LOCK,
} from './rebuild-rows.ts';
import { swap } from './rebuild-swap.ts';
import { type Delta, deltaOf } from './tally.ts';

const GROUP = 'ratings';
/** Records a transaction. */
const CHUNK = 1_000;
/** Between two lines for people. */
const SAY_MS = 2_000;

/** What a rebuild did. */
export interface Rebuilt {
  /** Events counted, from the log and as they were handled meanwhile. */
  readonly events: number;
  readonly subjects: number;
  /** Subjects whose tally was not what the log says. */
  readonly different: number;
}

/**
 * Makes the read model again from the topic's first record, beside the live one, and swaps it in at once. Whoever counts meanwhile goes on and
 * counts in both. What the group has not handled yet, or holds, or gave up on, is not counted, so that it counts once when it is handled.
 * @throws Error when another rebuild is under way, or its connection is lost; then the live model is as it was
 */
export async function rebuild({ database, log, signal, print }: RebuildContext): Promise<Rebuilt> {
  const client = await database.pool.connect();
  try {
    // Locks of the connection: they go with it, and whoever counts then knows that nobody rebuilds any more.
    const { rows } = await client.query<{ mine: boolean }>('SELECT pg_try_advisory_lock($1) AS mine', [
      ONE_REBUILD_LOCK,
    ]);
    if (!rows[0]?.mine) throw new Error('another rebuild is under way');
    await locked(client, REBUILD_LOCK, signal);
    await patiently(() => client.query(EMPTY), signal);
    const events = await countAgain({ database, log, signal, print });
    print('swapping');
    const { different } = await patiently(() => swap(client, SWAP_LOCK), signal);
    await client.query('SELECT pg_advisory_unlock($1)', [REBUILD_LOCK]);
    const { rows: counted } = await client.query<{ n: number }>(
      'SELECT count(*)::int AS n FROM tally_rebuild',
    );
    await patiently(() => client.query(EMPTY), signal);
    const result = { events, subjects: counted[0]?.n ?? 0, different };
    print(
      `rebuilt: ${result.events} events, ${result.subjects} subjects, ${result.different} of them were not as the log has them`,
    );
    return result;
  } finally {
    // The server ends a connection some moments after it is told to; the next rebuild need not wait for that.
    await client.query('SELECT pg_advisory_unlock_all()').catch(() => undefined);
    // Ending the connection frees its locks even if it was the connection that failed.
    client.release(true);
  }
}

/** A lock that batches under way keep for a moment. */
async function locked(client: PoolClient, lock: number, signal: AbortSignal): Promise<void> {
  await patiently(() => client.query('SELECT pg_advisory_lock($1)', [lock]), signal);
}

// In the order in which those who count write them, or they would wait for each other.
const EMPTY = 'TRUNCATE tally_rebuild_seen, tally_rebuild';
/** Somebody kept a lock for longer than a statement waits, or waited for one of ours. */
const LOCK_TIMEOUT = '55P03';
const DEADLOCK = '40P01';

async function patiently<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      const { code } = error as { code?: unknown };
      if (code !== LOCK_TIMEOUT && code !== DEADLOCK) throw error;
    }
  }
}

interface Counting {
  readonly database: Database;
  readonly log: EventLog;
  readonly signal: AbortSignal;
  readonly print: (line: string) => void;
}

/** Counts everything that the group has handled; gives how many events that were. */
async function countAgain(counting: Counting): Promise<number> {
  const { database, log, signal, print } = counting;
  let events = await countRedriven(database);
  const topic = topicOf(RatedSchema).name;
  // Where the group stands before where the topic ends: what it handles from now on is counted as it does.
  const settled = new Map((await log.lag(GROUP, [topic])).map((lag) => [lag.partition, lag.committed]));
  for (const { partition, start, end } of await log.bounds(topic)) {
    let said = performance.now();
    for (let offset = start; offset < end; ) {
      signal.throwIfAborted();
      const records = await log.read({ topic, partition, offset }, CHUNK);
      const last = records.at(-1);
      if (!last) break;
      const before = records.filter((record) => record.offset < end);
      events += await countRecords(counting, before, settled.get(partition) ?? 0n);
      offset = last.offset + 1n;
      if (performance.now() - said > SAY_MS) {
        print(`partition ${partition}: ${offset - start} of ${end - start} records, ${events} events in all`);
        said = performance.now();
      }
    }
  }
  return events;
}

/** Dead letters that came back: as they were counted, for their records may say something else. */
async function countRedriven(database: Database): Promise<number> {
  let events = 0;
  for (let after: Seen | undefined = { source: '', id: '' }; after; ) {
    const from: Seen = after;
    const page: readonly (Delta & Seen)[] = await database.transaction(async (em) => {
      const deltas = await redrivenPage(em, from, CHUNK);
      events += await joinRebuild(em, deltas);
      return deltas;
    });
    after = page.length === CHUNK ? page.at(-1) : undefined;
  }
  return events;
}

async function countRecords(
  { database, log }: Counting,
  records: readonly ReceivedRecord[],
  settled: bigint,
): Promise<number> {
  const read = records.flatMap((record) => eventOf(record, log.id));
  if (read.length === 0) return 0;
  return await database.transaction(async (em) => {
    const outcomes = await outcomesOf(em, GROUP, read);
    const handled = read.filter((event) => {
      const outcome = outcomes.get(nameOf(event));
      // Behind the group's offset everything was handled, and forgotten some time after; unless it says otherwise.
      return outcome === undefined ? event.offset < settled : outcome === 'done';
    });
    return await joinRebuild(em, handled);
  });
}

function eventOf(
  record: ReceivedRecord,
  logId: string,
): (Delta & Seen & TopicPartition & { offset: bigint })[] {
  const context = contextOf(record, logId);
  const { topic, partition, offset } = record;
  try {
    const delta = deltaOf(decodeEvent(RatedSchema, record), context);
    return [{ ...delta, source: context.source, id: context.id, topic, partition, offset }];
  } catch {
    // A dead letter; if it was mended and came back, it was counted from there.
    return [];
  }
}
