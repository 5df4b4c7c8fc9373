/**
 * The event log port: topics of partitions of records, read by consumer groups. Two adapters answer it, PostgreSQL
 * (`postgres-log.ts`) and Kafka; both pass `test/log-conformance.ts`, which is this contract as tests.
 *
 * What every adapter promises
 * - A record with a key goes to partition murmur2(key) mod partitions, as Java's producer computes it; one without a key to
 *   any. Within a partition, records are read in the order of their offsets, which is the order of their appends.
 * - `append` resolves when all its records are durable; when it rejects, any of them may be in the log, so the caller repeats.
 * - Each partition is read by at most one live member of a group. A member that leaves hands over at once; one that dies is
 *   replaced within the adapter's session time. What it had received and not committed is received again by the next owner.
 * - A commit by a member that lost the partition since is refused and changes nothing.
 * - A group without a committed offset starts at the earliest record that is there, and so misses nothing.
 */

/** A record to append. */
export interface LogRecord {
  readonly topic: string;
  /** Records of one key keep their order. Null: any partition. */
  readonly key: string | null;
  /** Null is a tombstone, as in Kafka. */
  readonly value: Uint8Array | null;
  /** Names in lower case; values are UTF-8 text. */
  readonly headers: Readonly<Record<string, string>>;
}

/** A record as it was read. */
export interface ReceivedRecord extends LogRecord {
  readonly partition: number;
  readonly offset: bigint;
  /** When the log took it. */
  readonly appendedAt: Date;
}

/** One partition of one topic. */
export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** A place in a partition; as a commit, the next offset to read. */
export interface Position extends TopicPartition {
  readonly offset: bigint;
}

/** A topic to be. */
export interface TopicSpec {
  readonly name: string;
  /** Left out: the log's default. Never changed once the topic is there. */
  readonly partitions?: number;
  /**
   * Milliseconds that records are kept at least; null for ever. For a topic that is there already the PostgreSQL log makes it longer, never shorter;
   * on Kafka that is the operator's business. */
  readonly retentionMs: number | null;
}

/** A topic that is there already, with another partition count than asked for. */
export interface TopicDifference {
  readonly topic: string;
  readonly wanted: number;
  readonly found: number;
}

/** How far a group is behind in one partition. */
export interface PartitionLag extends TopicPartition {
  /** Next offset that the group will read. */
  readonly committed: bigint;
  /** Next offset that an append will take. */
  readonly end: bigint;
  readonly lag: bigint;
}

export interface Producer extends AsyncDisposable {
  /**
   * Appends records, in order within each topic and key. Callers wait for one append before the next: two at a time have no
   * order between them. Rejects when a topic does not exist or the log is away.
   * @returns the position of each record, in the order of `records`.
   */
  append(records: readonly LogRecord[]): Promise<Position[]>;
}

export interface ConsumerOptions {
  /** The group's name: the service's name. */
  readonly group: string;
  /** Existing topics. */
  readonly topics: readonly string[];
  /** At most so many records a `receive`, over all partitions; 1,000 when left out. */
  readonly maxRecords?: number;
}

export interface Consumer extends AsyncDisposable {
  /**
   * The next records of this member's partitions, over all of them, in offset order within each; each `receive` goes on
   * behind the one before, whether or not it was committed. Waits until there are some, without polling delay; resolves
   * with none only when `signal` aborts. Not calling it is back-pressure: nothing is fetched meanwhile, and membership is kept.
   * One at a time. Waits for a log that is away; rejects once the consumer is disposed.
   */
  receive(signal: AbortSignal): Promise<ReceivedRecord[]>;
  /**
   * Says that the group is done with everything before these positions.
   * @returns the partitions for which it was refused, because this member does not own them any more.
   */
  commit(positions: readonly Position[]): Promise<TopicPartition[]>;
  /** Whether the partition is still this member's, as far as it knows. */
  owns(partition: TopicPartition): boolean;
  /** The partitions that this member owns now. */
  assignment(): TopicPartition[];
  /** Receives nothing more from these partitions until `resume`, or until they are lost; they stay owned. */
  pause(partitions: readonly TopicPartition[]): void;
  resume(partitions: readonly TopicPartition[]): void;
}

export interface EventLog extends AsyncDisposable {
  /** What it is, by the name that traces give it: https://opentelemetry.io/docs/specs/semconv/messaging/ */
  readonly system: 'kafka' | 'postgresql';
  /** Names this log among all logs and for as long as its records live: a UUID, or Kafka's cluster id. */
  readonly id: string;
  /**
   * Makes topics that are not there yet. Of topics that are there, records are kept longer if that is asked for (PostgreSQL only); a partition count is never
   * changed, and differences are returned.
   */
  createTopics(topics: readonly TopicSpec[]): Promise<TopicDifference[]>;
  /** A producer of its own connection. */
  producer(): Promise<Producer>;
  /** Joins a group. Resolves when the member has joined; partitions may come later. Rejects on unknown topics. */
  consumer(options: ConsumerOptions): Promise<Consumer>;
  /** Lag of a group in every partition of the topics, also where it never committed (then from the earliest record). */
  lag(group: string, topics: readonly string[]): Promise<PartitionLag[]>;
  /** Sets a group without live members back to the earliest record of these topics (replay). Rejects while members live. */
  rewind(group: string, topics: readonly string[]): Promise<void>;
  /** Reads records of one partition from an offset on, outside of any group. At most `limit`, fewer when they are large; none at the end. */
  read(from: Position, limit: number): Promise<ReceivedRecord[]>;
  /** First offset still there and next offset to be taken, of each partition of a topic. */
  bounds(topic: string): Promise<(TopicPartition & { readonly start: bigint; readonly end: bigint })[]>;
  /** Rejects when the log can't be used now. */
  probe(): Promise<void>;
}
