import { Code, ConnectError } from '@connectrpc/connect';
import type { Logger } from '@tradewind/telemetry/logger';
import type {
  Consumer,
  ConsumerOptions,
  EventLog,
  PartitionLag,
  Position,
  Producer,
  ReceivedRecord,
  TopicDifference,
  TopicPartition,
  TopicSpec,
} from './log.ts';
import { Bell } from './postgres-log/bell.ts';
import { PostgresConsumer } from './postgres-log/consumer.ts';
import { Database } from './postgres-log/database.ts';
import { FETCH, type FetchedRow, recordOf } from './postgres-log/fetch.ts';
import { PostgresProducer } from './postgres-log/producer.ts';
import { startRetention } from './postgres-log/retention.ts';
import { Topics } from './postgres-log/topics.ts';

export interface PostgresLogOptions {
  /** Connection string of the database whose schema `event_log` is the log. */
  readonly url: string;
  readonly logger: Logger;
  /** Partitions of new topics that do not say; 6 when left out. */
  readonly partitions?: number;
  /** How long a member that gives no sign of life keeps its partitions, in milliseconds; 2,000 when left out. */
  readonly sessionMs?: number;
  /** How long a partition that goes to another member waits for the commit of what was received, in milliseconds; 10 sessions when left out. */
  readonly handoverMs?: number;
  /** How often a consumer looks for records without being woken, in milliseconds; 1,000 when left out. */
  readonly pollMs?: number;
  /** How often records past their retention are looked for, in milliseconds; one minute when left out. */
  readonly retentionEveryMs?: number;
  /** How long a statement may take, in milliseconds; 10 s when left out. */
  readonly timeoutMs?: number;
  /** Connections at most, besides the one for wake-ups; 8 when left out. */
  readonly connections?: number;
}

/**
 * Opens the event log in a PostgreSQL database and makes its tables if they are not there. When the server goes away later,
 * operations reject with `Unavailable`, `probe` says so, and consumers that have joined wait.
 * @throws ConnectError with `Unavailable` when the server can't be reached now
 */
export async function openPostgresLog(options: PostgresLogOptions): Promise<EventLog> {
  const { url, logger, connections = 8, timeoutMs = 10_000 } = options;
  const database = new Database({ url, logger, connections, timeoutMs });
  try {
    const [row] = await database.query<[string]>(IDENTITY, []);
    return new PostgresLog(row?.[0] ?? '', database, options);
  } catch (error) {
    await database[Symbol.asyncDispose]();
    throw error;
  }
}

const BOUNDS = {
  name: 'bounds',
  text: 'SELECT partition, start_offset::text, next_offset::text FROM event_log.partition WHERE topic_id = $1 ORDER BY partition',
};

const LAG = {
  name: 'lag',
  text: `
    SELECT p.topic_id, p.partition, greatest(l.committed, p.start_offset)::text, p.next_offset::text
    FROM event_log.partition p
    LEFT JOIN event_log.lease l ON l.group_name = $1 AND l.topic_id = p.topic_id AND l.partition = p.partition
    WHERE p.topic_id = ANY($2::int[]) ORDER BY p.topic_id, p.partition`,
};

const REWIND = { name: 'rewind', text: 'SELECT event_log.rewind($1, $2::int[])' };
const IDENTITY = { name: 'identity', text: 'SELECT id::text FROM event_log.log' };
const PROBE_MS = 3_000;

class PostgresLog implements EventLog {
  readonly system = 'postgresql';
  readonly id: string;
  readonly #options: PostgresLogOptions;
  readonly #database: Database;
  readonly #bell: Bell;
  readonly #topics: Topics;
  readonly #retention: AsyncDisposable;
  readonly #open = new Set<AsyncDisposable>();

  readonly #onClose = (one: AsyncDisposable) => this.#open.delete(one);

  constructor(id: string, database: Database, options: PostgresLogOptions) {
    const { url, logger, partitions = 6, retentionEveryMs = 60_000 } = options;
    this.id = id;
    this.#options = options;
    this.#database = database;
    this.#bell = new Bell(url, logger);
    this.#topics = new Topics(database, partitions);
    this.#retention = startRetention(database, retentionEveryMs, logger);
  }

  async createTopics(topics: readonly TopicSpec[]): Promise<TopicDifference[]> {
    return this.#topics.create(topics);
  }

  async producer(): Promise<Producer> {
    const producer = new PostgresProducer(this.#database, this.#topics, this.#bell, this.#onClose);
    this.#open.add(producer);
    return producer;
  }

  async consumer({ group, topics, maxRecords = 1_000 }: ConsumerOptions): Promise<Consumer> {
    const { logger, sessionMs = 2_000, handoverMs = 10 * sessionMs, pollMs = 1_000 } = this.#options;
    if (!(maxRecords >= 1)) throw new ConnectError('maxRecords must be at least 1', Code.InvalidArgument);
    const found = await this.#topics.find([...new Set(topics)]);
    const consumer = new PostgresConsumer({
      database: this.#database,
      bell: this.#bell,
      logger,
      group,
      topics: found,
      maxRecords,
      sessionMs,
      handoverMs,
      pollMs,
      onClose: this.#onClose,
    });
    this.#open.add(consumer);
    try {
      await consumer.join();
    } catch (error) {
      await consumer[Symbol.asyncDispose]();
      throw error;
    }
    return consumer;
  }

  async lag(group: string, topics: readonly string[]): Promise<PartitionLag[]> {
    const found = await this.#topics.find([...new Set(topics)]);
    const names = new Map(found.map(({ id, name }) => [id, name]));
    const rows = await this.#database.query<[number, number, string, string]>(LAG, [
      group,
      [...names.keys()],
    ]);
    return rows.map(([topicId, partition, committed, end]) => ({
      topic: names.get(topicId) ?? '',
      partition,
      committed: BigInt(committed),
      end: BigInt(end),
      lag: BigInt(end) - BigInt(committed),
    }));
  }

  async rewind(group: string, topics: readonly string[]): Promise<void> {
    const found = await this.#topics.find(topics);
    const [row] = await this.#database.query<[boolean]>(REWIND, [group, found.map(({ id }) => id)]);
    if (!row?.[0]) throw new ConnectError(`group ${group} has live members`, Code.FailedPrecondition);
  }

  async read(from: Position, limit: number): Promise<ReceivedRecord[]> {
    const [topic] = await this.#topics.find([from.topic]);
    if (!topic || from.partition < 0 || from.partition >= topic.partitions)
      throw new ConnectError(`topic ${from.topic} has no partition ${from.partition}`, Code.NotFound);
    const rows = await this.#database.query<FetchedRow>(FETCH, [
      [topic.id],
      [from.partition],
      [from.offset.toString()],
      [limit],
      [READ_BYTES_MAX],
    ]);
    return rows.map((row) => recordOf(from, row));
  }

  async bounds(
    topic: string,
  ): Promise<(TopicPartition & { readonly start: bigint; readonly end: bigint })[]> {
    const [found] = await this.#topics.find([topic]);
    const rows = await this.#database.query<[number, string, string]>(BOUNDS, [found?.id]);
    return rows.map(([partition, start, end]) => ({
      topic,
      partition,
      start: BigInt(start),
      end: BigInt(end),
    }));
  }

  async probe(): Promise<void> {
    await this.#database.query(IDENTITY, [], PROBE_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#open].map((one) => one[Symbol.asyncDispose]()));
    await Promise.all([this.#retention[Symbol.asyncDispose](), this.#bell[Symbol.asyncDispose]()]);
    await this.#database[Symbol.asyncDispose]();
  }
}

/** A read is bounded in bytes as well, at least one record; "at most `limit`" leaves room for that. */
const READ_BYTES_MAX = 64 * 1024 * 1024;
