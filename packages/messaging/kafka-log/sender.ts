import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Position } from '../log.ts';
import { encodeBatch } from './batch-writing.ts';
import { type Cluster, Links } from './cluster.ts';
import { Away, isPassing, KafkaProblem } from './failure.ts';
import { byTopic, nameOf } from './offsets.ts';
import type { ProducedPartition } from './protocol.ts';
import type { Batch } from './rounds.ts';
import { Identity } from './sequences.ts';

interface Caller {
  readonly positions: Position[];
}

/** The broker does not know this identity, or not these numbers. */
const ESTRANGED = new Set([
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'DUPLICATE_SEQUENCE_NUMBER',
  'INVALID_PRODUCER_EPOCH',
  'INVALID_PRODUCER_ID_MAPPING',
  'UNKNOWN_PRODUCER_ID',
  'PRODUCER_FENCED',
]);

/** A batch under way: whether an attempt at it may have reached the log without our knowing. */
interface Trying<C> {
  readonly batch: Batch<C>;
  doubtful: boolean;
}

/** Sends batches, one request at a time to each broker, and repeats what failed for a passing reason under the same sequence. */
export class Sender<C extends Caller> implements Disposable {
  readonly #cluster: Cluster;
  readonly #compression: number;
  readonly #links: Links;
  #identity: Identity | undefined;

  constructor(cluster: Cluster, compression: number) {
    this.#cluster = cluster;
    this.#compression = compression;
    this.#links = new Links(cluster);
  }

  /**
   * Sends at most one batch a partition, and gives the records' callers their positions.
   * @returns the batches that failed, with the reason; if it is a passing one, they may be in the log
   */
  async send(batches: readonly Batch<C>[]): Promise<Map<Batch<C>, unknown>> {
    const until = performance.now() + this.#cluster.options.patienceMs;
    const failed = new Map<Batch<C>, unknown>();
    let left: Trying<C>[] = batches.map((batch) => ({ batch, doubtful: false }));
    for (let attempt = 0; left.length > 0; attempt++) {
      if (attempt > 0) {
        await sleep(Math.min(10 * 2 ** attempt, 300));
        await this.#cluster.refresh(left.map(({ batch }) => batch.topic)).catch(() => undefined);
        left = left.filter(({ batch }) => {
          if (this.#cluster.known(batch.topic)) return true;
          failed.set(batch, new ConnectError(`there is no topic ${batch.topic}`, Code.NotFound));
          return false;
        });
      }
      const problems = await this.#attempt(left, Math.max(until - performance.now(), 500));
      const again: Trying<C>[] = [];
      let estranged = false;
      for (const [trying, error] of problems) {
        const stranger = error instanceof KafkaProblem && ESTRANGED.has(error.type);
        estranged ||= stranger;
        const over = performance.now() > until;
        if (stranger && !trying.doubtful && !over) again.push(trying);
        else if (!stranger && isPassing(error) && !over) again.push(trying);
        else failed.set(trying.batch, stranger ? new Away(error.message, error) : error);
      }
      // Whoever may be in the log already must not go there again under other numbers.
      if (estranged) {
        this.#identity = undefined;
        for (const { batch, doubtful } of again)
          if (doubtful) failed.set(batch, new Away('the producer was fenced'));
      }
      left = again.filter(({ batch }) => !failed.has(batch));
    }
    // A number that may have been used is never used for something else: Kafka would take that for a repetition, and drop it.
    if (failed.size > 0 || this.#identity?.old) this.#identity = undefined;
    return failed;
  }

  /** One attempt at each. Answers those that failed. */
  async #attempt(tries: readonly Trying<C>[], patienceMs: number): Promise<Map<Trying<C>, unknown>> {
    const problems = new Map<Trying<C>, unknown>();
    let identity: Identity;
    try {
      this.#identity ??= await Identity.obtain(this.#cluster);
      identity = this.#identity;
    } catch (error) {
      for (const trying of tries) problems.set(trying, error);
      return problems;
    }
    const byNode = new Map<number, Trying<C>[]>();
    for (const trying of tries) {
      const node = this.#cluster.leaderOf(trying.batch.topic, trying.batch.partition);
      const some = byNode.get(node);
      if (some) some.push(trying);
      else byNode.set(node, [trying]);
    }
    await Promise.all(
      [...byNode].map(async ([node, some]) => {
        try {
          await this.#request(node, some, identity, patienceMs, problems);
        } catch (error) {
          for (const trying of some) problems.set(trying, error);
        }
      }),
    );
    return problems;
  }

  async #request(
    node: number,
    tries: readonly Trying<C>[],
    identity: Identity,
    patienceMs: number,
    problems: Map<Trying<C>, unknown>,
  ): Promise<void> {
    const wire = await this.#links.to(node);
    const byName = new Map(tries.map((trying) => [nameOf(trying.batch), trying]));
    const encoded = await Promise.all(tries.map(({ batch }) => this.#encode(batch, identity)));
    const topicData = byTopic(encoded, ({ partition, batch }) => ({ partition, batch }));
    const doubts = new Map(tries.map((trying) => [trying, trying.doubtful]));
    for (const trying of tries) trying.doubtful = true;
    const { topics } = await wire.ask('Produce', { acks: -1, timeout: patienceMs, topicData }, patienceMs);
    for (const { topicName: topic, partitions } of topics)
      for (const answer of partitions) {
        const trying = byName.get(nameOf({ topic, partition: answer.partition }));
        if (!trying) continue;
        byName.delete(nameOf(trying.batch));
        const problem = settle(trying.batch, identity, answer);
        if (problem) problems.set(trying, problem);
        // The broker said no, so this attempt left nothing behind; unless it only lost patience with its replicas.
        if (problem && !LEFT_BEHIND.has(problem.type)) trying.doubtful = doubts.get(trying) ?? true;
      }
    for (const trying of byName.values())
      problems.set(trying, new Away('the broker did not tell of a batch'));
  }

  async #encode({ topic, partition, records }: Batch<C>, identity: Identity) {
    const { producerId, producerEpoch } = identity;
    const batch = await encodeBatch(
      records.map(({ message }) => message),
      {
        producerId,
        producerEpoch,
        sequence: identity.next(topic, partition),
        compression: this.#compression,
        time: Date.now(),
      },
    );
    return { topic, partition, batch };
  }

  [Symbol.dispose](): void {
    this.#links[Symbol.dispose]();
  }
}

/** Refusals of batches that are in the leader's log nevertheless. */
const LEFT_BEHIND = new Set([
  'REQUEST_TIMED_OUT',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'DUPLICATE_SEQUENCE_NUMBER',
]);

function settle<C extends Caller>(
  { topic, partition, records }: Batch<C>,
  identity: Identity,
  { errorCode, baseOffset }: ProducedPartition,
): KafkaProblem | undefined {
  if (errorCode) return new KafkaProblem(errorCode, `topic ${topic}`);
  identity.advance(topic, partition, records.length);
  const base = BigInt(baseOffset);
  for (const [i, { caller, nth }] of records.entries())
    caller.positions[nth] = { topic, partition, offset: base + BigInt(i) };
  return undefined;
}
