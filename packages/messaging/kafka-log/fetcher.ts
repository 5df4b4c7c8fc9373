import type { Logger } from '@tradewind/telemetry/logger';
import { type Cluster, Links } from './cluster.ts';
import { KafkaProblem } from './failure.ts';
import type { Held, Holding } from './holding.ts';
import { byTopic, EARLIEST, endsOf, nameOf } from './offsets.ts';
import type { FetchedPartition } from './protocol.ts';
import { recordsOf } from './records.ts';

export interface FetcherOptions {
  readonly cluster: Cluster;
  readonly logger: Logger;
  readonly group: string;
  readonly holding: Holding;
  /** Called when something was fetched, or might be by now. */
  readonly onChange: () => void;
}

/** How long a broker holds back a fetch for which it has nothing, in milliseconds: what changes meanwhile waits for its end. */
const HOLD_MS = 250;
const FETCH_BYTES = 8 * 1024 * 1024;
const PARTITION_BYTES = 1024 * 1024;
/** How long the receiver waits at most for a broker that answers at once. */
const QUICK_MS = 500;
/** How long a partition rests that could not be fetched. */
const REST_MS = 150;
export const READ_COMMITTED = 1;

/** Fetches what is not in memory: one request at a time at each broker, and only when it is told to. */
export class Fetcher implements Disposable {
  readonly #options: FetcherOptions;
  readonly #links: Links;
  readonly #busy = new Set<number>();
  #closed = false;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #due = Number.POSITIVE_INFINITY;
  /** Since when a broker is asked that is to answer at once. */
  readonly #quick = new Map<number, number>();

  constructor(options: FetcherOptions) {
    this.#options = options;
    this.#links = new Links(options.cluster);
  }

  /** Starts fetching from brokers that nothing is fetched from just now, for partitions that have nothing in memory. */
  start(): void {
    const { cluster, holding } = this.#options;
    const now = performance.now();
    const byNode = new Map<number, { wanted: Held[]; full: boolean }>();
    for (const held of holding.all()) {
      if (held.paused) continue;
      if (held.rests > now) {
        this.#later(held.rests - now);
        continue;
      }
      const node = cluster.leaderOf(held.topic, held.partition);
      if (this.#busy.has(node)) continue;
      const at = byNode.get(node) ?? { wanted: [], full: false };
      byNode.set(node, at);
      if (held.buffer.length > 0) at.full = true;
      else at.wanted.push(held);
    }
    for (const [node, { wanted, full }] of byNode) {
      // As long as there is something to handle, nobody waits for a broker that has nothing.
      if (wanted.length > 0) void this.#fetch(node, wanted, full ? 0 : HOLD_MS);
    }
  }

  /** Whether an answer is about to come, so that partitions that have nothing in memory get their turn as well. */
  get imminent(): boolean {
    const now = performance.now();
    for (const since of this.#quick.values()) if (now - since < QUICK_MS) return true;
    return false;
  }

  /** Lets the receiver look again, at the latest then. */
  #later(ms: number): void {
    const due = performance.now() + ms;
    if (due >= this.#due) return;
    this.#due = due;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#due = Number.POSITIVE_INFINITY;
      this.#options.onChange();
    }, ms);
  }

  async #fetch(node: number, wanted: readonly Held[], holdMs: number): Promise<void> {
    const { cluster, logger, group, onChange } = this.#options;
    this.#busy.add(node);
    if (holdMs === 0) {
      this.#quick.set(node, performance.now());
      this.#later(QUICK_MS);
    }
    const from = new Map(wanted.map((held) => [held.name, { held, offset: held.fetchFrom }]));
    try {
      const { responses } = await this.#links.ask(
        node,
        'Fetch',
        {
          isolationLevel: READ_COMMITTED,
          maxWaitTime: holdMs,
          minBytes: 1,
          maxBytes: FETCH_BYTES,
          topics: byTopic(wanted, ({ partition, fetchFrom }) => ({
            partition,
            fetchOffset: fetchFrom.toString(),
            maxBytes: PARTITION_BYTES,
          })),
        },
        holdMs + cluster.options.answerMs,
      );
      this.#failures = 0;
      for (const { topicName: topic, partitions } of responses)
        for (const answer of partitions) {
          const asked = from.get(nameOf({ topic, partition: answer.partition }));
          if (asked) await this.#take(asked.held, asked.offset, answer);
        }
    } catch (error) {
      if (this.#closed) return;
      // Rests, then looks where the leaders are: a broker that is away is not asked a thousand times a second.
      const rests = performance.now() + Math.min(REST_MS * 2 ** Math.min(this.#failures++, 3), 1_000);
      for (const held of wanted) held.rests = rests;
      if (this.#failures === 4) logger.warn({ err: error, group }, 'event log: fetching fails; waiting');
      else logger.debug({ err: error, group }, 'event log: fetching failed');
      await cluster.refresh(wanted.map(({ topic }) => topic)).catch(() => undefined);
    } finally {
      this.#busy.delete(node);
      this.#quick.delete(node);
      if (!this.#closed) onChange();
    }
  }

  async #take(held: Held, offset: bigint, answer: FetchedPartition): Promise<void> {
    const { cluster, logger, group, holding } = this.#options;
    // Lost, or begun anew meanwhile.
    if (!holding.has(held) || held.fetchFrom !== offset) return;
    const { topic, partition } = held;
    if (answer.errorCode) {
      const problem = new KafkaProblem(answer.errorCode, `topic ${topic}`);
      held.rests = performance.now() + REST_MS;
      if (problem.type === 'OFFSET_OUT_OF_RANGE') await this.#reset(held);
      else {
        logger.debug(
          { err: problem, group, topic, partition },
          'event log: a partition can not be fetched now',
        );
        await cluster.refresh([topic]).catch(() => undefined);
      }
      return;
    }
    const { records, next } = await recordsOf({ topic, partition }, offset, answer);
    if (!holding.has(held) || held.fetchFrom !== offset) return;
    for (const record of records) held.buffer.push(record);
    held.fetchFrom = next;
  }

  /** What it wanted is not kept any more, so it goes on with the earliest that is. */
  async #reset(held: Held): Promise<void> {
    const { cluster, logger, group, holding } = this.#options;
    const { topic, partition, fetchFrom } = held;
    const start = (await endsOf(cluster, [held], EARLIEST)).get(held.name) ?? 0n;
    if (!holding.has(held) || held.fetchFrom !== fetchFrom) return;
    logger.warn(
      { group, topic, partition, offset: String(fetchFrom), start: String(start) },
      'event log: the place where the group stands is not there any more; going on with the earliest record',
    );
    holding.gain(held, start, held.paused);
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#links[Symbol.dispose]();
  }
}
