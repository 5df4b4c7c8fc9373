import { Code, ConnectError } from '@connectrpc/connect';
import type { Logger } from '@tradewind/telemetry/logger';
import { type KafkaSettings, parseKafkaUrl } from './kafka-log/address.ts';
import { Cluster } from './kafka-log/cluster.ts';
import { COMPRESSIONS, type Compression } from './kafka-log/codecs.ts';
import { KafkaConsumer } from './kafka-log/consumer.ts';
import { understood } from './kafka-log/failure.ts';
import { lagOf, rewind } from './kafka-log/groups.ts';
import { EARLIEST, endsOf, LATEST, nameOf, partitionsOf } from './kafka-log/offsets.ts';
import { KafkaProducer } from './kafka-log/producer.ts';
import { readRecords } from './kafka-log/read.ts';
import { createTopics } from './kafka-log/topics.ts';
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

export interface KafkaLogOptions {
  /** `kafka://[user:password@]host:9092[,host…][?…]`, or `kafkas://` for TLS. */
  readonly url: string;
  readonly logger: Logger;
  /** What the URL does not say. */
  readonly settings?: KafkaSettings;
  /** Partitions of new topics that do not say; 6 when left out. */
  readonly partitions?: number;
  /** Replicas of new topics; the brokers' default when left out. */
  readonly replication?: number;
  readonly compression?: Compression;
  /** How long a member that gives no sign of life keeps its partitions, in milliseconds; 6,000 when left out, and brokers seldom allow less. */
  readonly sessionMs?: number;
  /** How long a rebalance waits for the commit of what a member has in hand, in milliseconds; 1,000 when left out. */
  readonly handoverMs?: number;
  /** How long a broker may take to answer, in milliseconds; 5 s when left out. */
  readonly answerMs?: number;
  /** How long what fails for a passing reason is tried again before it is told, in milliseconds; 5 s when left out. */
  readonly patienceMs?: number;
}

const CONNECT_MS = 4_000;
const PROBE_MS = 3_000;

/**
 * Opens the event log that is a Kafka cluster. When the brokers go away later, operations reject with `Unavailable` within seconds, `probe` says
 * so, and consumers that have joined wait.
 * @throws ConnectError with `Unavailable` when no broker can be reached now, `Unauthenticated` when it lets nobody in
 * @throws Error when the URL is wrong
 */
export async function openKafkaLog(options: KafkaLogOptions): Promise<EventLog> {
  const { url, logger, settings, answerMs = 5_000, patienceMs = 5_000 } = options;
  const { seeds, security, ...said } = parseKafkaUrl(url, settings);
  const cluster = new Cluster({
    seeds,
    security,
    clientId: 'tradewind',
    logger,
    connectMs: CONNECT_MS,
    answerMs,
    patienceMs,
  });
  try {
    await cluster.refresh();
  } catch (error) {
    cluster[Symbol.dispose]();
    throw understood(error);
  }
  return new KafkaLog(cluster, {
    logger,
    partitions: options.partitions ?? said.partitions ?? 6,
    replication: options.replication ?? said.replication ?? -1,
    compression: COMPRESSIONS[options.compression ?? said.compression ?? 'lz4'],
    sessionMs: options.sessionMs ?? said.sessionMs ?? 6_000,
    handoverMs: options.handoverMs ?? 1_000,
  });
}

interface Chosen {
  readonly logger: Logger;
  readonly partitions: number;
  readonly replication: number;
  readonly compression: number;
  readonly sessionMs: number;
  readonly handoverMs: number;
}

class KafkaLog implements EventLog {
  readonly system = 'kafka';
  readonly id: string;
  readonly #cluster: Cluster;
  readonly #chosen: Chosen;
  readonly #open = new Set<AsyncDisposable>();

  readonly #onClose = (one: AsyncDisposable) => this.#open.delete(one);

  constructor(cluster: Cluster, chosen: Chosen) {
    this.id = cluster.id;
    this.#cluster = cluster;
    this.#chosen = chosen;
  }

  async createTopics(topics: readonly TopicSpec[]): Promise<TopicDifference[]> {
    return await this.#translated(() => createTopics(this.#cluster, topics, this.#chosen));
  }

  async producer(): Promise<Producer> {
    const producer = new KafkaProducer(this.#cluster, this.#chosen.compression, this.#onClose);
    this.#open.add(producer);
    return producer;
  }

  async consumer({ group, topics, maxRecords = 1_000 }: ConsumerOptions): Promise<Consumer> {
    if (!(maxRecords >= 1)) throw new ConnectError('maxRecords must be at least 1', Code.InvalidArgument);
    const names = [...new Set(topics)];
    await this.#translated(() => this.#cluster.topics(names));
    const { logger, sessionMs, handoverMs } = this.#chosen;
    const consumer = new KafkaConsumer({
      cluster: this.#cluster,
      logger,
      group,
      topics: names,
      maxRecords,
      sessionMs,
      handoverMs,
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
    return await this.#translated(() => lagOf(this.#cluster, group, topics));
  }

  async rewind(group: string, topics: readonly string[]): Promise<void> {
    await this.#translated(() => rewind(this.#cluster, group, topics));
  }

  async read(from: Position, limit: number): Promise<ReceivedRecord[]> {
    return await this.#translated(() => readRecords(this.#cluster, from, limit));
  }

  async bounds(
    topic: string,
  ): Promise<(TopicPartition & { readonly start: bigint; readonly end: bigint })[]> {
    return await this.#translated(async () => {
      const partitions = await partitionsOf(this.#cluster, [topic]);
      const [starts, ends] = await Promise.all([
        endsOf(this.#cluster, partitions, EARLIEST),
        endsOf(this.#cluster, partitions, LATEST),
      ]);
      return partitions.map((one) => ({
        ...one,
        start: starts.get(nameOf(one)) ?? 0n,
        end: ends.get(nameOf(one)) ?? 0n,
      }));
    });
  }

  async probe(): Promise<void> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new ConnectError('Kafka does not answer', Code.Unavailable)),
      PROBE_MS,
    );
    try {
      await this.#translated(() => Promise.race([this.#cluster.refresh(), late.promise]));
    } finally {
      clearTimeout(timer);
    }
  }

  async #translated<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw understood(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#open].map((one) => one[Symbol.asyncDispose]()));
    this.#cluster[Symbol.dispose]();
  }
}
