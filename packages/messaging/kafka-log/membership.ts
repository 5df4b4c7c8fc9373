import { delay, fullJitter } from '@tradewind/process/backoff';
import type { Logger } from '@tradewind/telemetry/logger';
import type { TopicPartition } from '../log.ts';
import { type Cluster, Links } from './cluster.ts';
import { check, isPassing, KafkaProblem, understood } from './failure.ts';
import { Holding } from './holding.ts';
import { join } from './joining.ts';
import { nameOf, standOf } from './offsets.ts';
import type { Api, ApiName } from './protocol.ts';
import { Waiting } from './waiting.ts';

export interface MembershipOptions {
  readonly cluster: Cluster;
  readonly logger: Logger;
  readonly group: string;
  readonly topics: readonly string[];
  /** How long the group waits for a sign of life, in milliseconds; brokers usually refuse less than 6,000. */
  readonly sessionMs: number;
  /** How long a rebalance waits for the commit of what the caller has in hand, in milliseconds. */
  readonly handoverMs: number;
  /** Called when there may be more, or less, to receive. */
  readonly onChange: () => void;
}

/** How often a member says that it lives, and so how soon it hears of a rebalance. */
const BEAT_MS = 500;
/** How often it looks whether a topic has more partitions now. */
const LOOK_MS = 60_000;
/** How long the last word to a group may take. */
const LEAVE_MS = 2_000;

/** The group has gone on without this member. */
const FORGOTTEN = new Set(['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'FENCED_INSTANCE_ID']);

export function isForgotten(error: unknown): boolean {
  return error instanceof KafkaProblem && FORGOTTEN.has(error.type);
}

/**
 * A member of a consumer group: joins, says that it lives, joins again when others come or go, leaves. Rebalances are eager: until all have joined
 * again nobody is given anything; what a member keeps through consecutive generations was nobody else's in between, so it keeps its place there.
 */
export class Membership {
  readonly holding = new Holding();
  readonly #options: MembershipOptions;
  /** For what a broker may hold back, so nothing else may wait behind it. */
  readonly #links: Links;
  readonly #stop = new AbortController();
  readonly #joined = Promise.withResolvers<void>();
  #running: Promise<void> = Promise.resolve();
  #phase: 'joining' | 'stable' | 'handing over' = 'joining';
  #memberId = '';
  #generation = -1;
  #lastBeat = Number.NEGATIVE_INFINITY;
  #partitions = 0;
  readonly #waiting: Waiting;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#links = new Links(options.cluster);
    this.#waiting = new Waiting(this.#stop.signal);
    this.#joined.promise.catch(() => undefined);
  }

  /** Who this is to the group now. */
  get identity(): {
    readonly groupId: string;
    readonly memberId: string;
    readonly groupGenerationId: number;
  } {
    return {
      groupId: this.#options.group,
      memberId: this.#memberId,
      groupGenerationId: this.#generation,
    };
  }

  /** Whether the group can't have given its partitions to others yet. */
  live(): boolean {
    return performance.now() - this.#lastBeat < this.#options.sessionMs;
  }

  /** Whether records may be given to the caller now. */
  giving(): boolean {
    return this.#phase === 'stable' && this.live();
  }

  /** Resolves when the member has joined for the first time; rejects when it can't. */
  async join(): Promise<void> {
    this.#running = this.#run();
    await this.#joined.promise;
  }

  /** Asks the group's coordinator something that it answers at once. */
  async ask<A extends ApiName>(api: A, ask: Api[A]['ask']): Promise<Api[A]['answer']> {
    const { cluster, group } = this.#options;
    return await this.#links.ask(await cluster.coordinatorOf(group), api, ask);
  }

  /** Waits until the group is not being joined. */
  async settled(signal: AbortSignal): Promise<void> {
    while (this.#phase === 'joining' && !this.#stop.signal.aborted) {
      signal.throwIfAborted();
      await this.#waiting.pause(250);
    }
  }

  /** Says that something was committed. */
  committed(): void {
    if (this.#phase === 'handing over') this.#waiting.wake();
  }

  /** The group has gone on without this member: what it held is others' now. */
  forgotten(): void {
    this.holding.clear();
    this.#lastBeat = Number.NEGATIVE_INFINITY;
    this.#generation = -1;
    this.#waiting.wake();
    this.#options.onChange();
  }

  async #run(): Promise<void> {
    const { logger, group, cluster } = this.#options;
    const began = performance.now();
    for (let failures = 0; !this.#stop.signal.aborted; ) {
      try {
        await this.#rejoin();
        failures = 0;
        this.#joined.resolve();
        await this.#stay();
      } catch (error) {
        if (this.#stop.signal.aborted) break;
        cluster.forgetCoordinator(group);
        if (isForgotten(error)) {
          this.forgotten();
          this.#memberId = '';
        } else if (!isRebalance(error)) {
          // Who joins for the first time hears of it; who has joined waits. A broker that answers is waited for longer.
          const patienceMs = cluster.patienceWith(error);
          if (!isPassing(error) || performance.now() - began > patienceMs)
            this.#joined.reject(understood(error));
          if (failures === 3 || failures % 50 === 49)
            logger.warn({ err: error, group, failures }, 'event log: joining the group again and again');
          failures++;
        }
        await delay(fullJitter(failures, { baseMs: 20, capMs: 1_000 }), this.#stop.signal).catch(
          () => undefined,
        );
      }
    }
    this.#joined.reject(understood(new Error('the consumer is closed')));
  }

  async #rejoin(): Promise<void> {
    this.#phase = 'joining';
    const before = this.#memberId;
    const { memberId, generation, assigned, since } = await join(this.#options, this.#links, {
      memberId: before,
      generation: this.#generation,
      owned: [...this.holding.all()].map(({ topic, partition }) => ({ topic, partition })),
      onName: (name) => {
        this.#memberId = name;
      },
    });
    // Somebody else may have owned what it owned in a generation that it missed.
    if (memberId !== before || generation > this.#generation + 1) this.holding.clear();
    const gained = this.holding.keep(assigned);
    this.#generation = generation;
    this.#lastBeat = since;
    this.#phase = 'stable';
    this.#partitions = this.#count();
    void this.#locate(gained, generation);
    this.holding.rewindDoubted();
    this.#waiting.wake();
    this.#options.onChange();
  }

  /** Finds where the group stands in new partitions; from then on they are held. */
  async #locate(partitions: readonly TopicPartition[], generation: number): Promise<void> {
    const { cluster, group, logger } = this.#options;
    const current = () => this.#generation === generation && !this.#stop.signal.aborted;
    for (let failures = 0; partitions.length > 0 && current(); failures++) {
      try {
        const places = await standOf(cluster, group, partitions);
        if (!current()) return;
        for (const one of partitions) this.holding.gain(one, places.get(nameOf(one)) ?? 0n);
        this.#options.onChange();
        return;
      } catch (error) {
        if (failures === 3)
          logger.warn({ err: error, group }, 'event log: looking for the place where the group stands');
        await delay(fullJitter(failures, { baseMs: 50, capMs: 1_000 }), this.#stop.signal).catch(
          () => undefined,
        );
      }
    }
  }

  #count(): number {
    const { cluster, topics } = this.#options;
    return topics.reduce((sum, name) => sum + (cluster.known(name)?.partitions ?? 0), 0);
  }

  /** Says that it lives, until there is a rebalance. What it had in hand may be committed before it takes part. */
  async #stay(): Promise<void> {
    const { handoverMs } = this.#options;
    let looked = performance.now();
    while (!this.#stop.signal.aborted) {
      await this.#waiting.pause(BEAT_MS);
      if (this.#stop.signal.aborted) return;
      if (this.#generation < 0) return;
      if (performance.now() - looked > LOOK_MS) {
        looked = performance.now();
        if (await this.#grown()) break;
      }
      if (!(await this.#beat())) break;
    }
    this.#phase = 'handing over';
    const until = performance.now() + handoverMs;
    while (this.holding.inHand() && performance.now() < until && !this.#stop.signal.aborted)
      await this.#waiting.pause(until - performance.now());
  }

  /** Whether topics have other partitions than when it joined. */
  async #grown(): Promise<boolean> {
    const { cluster, topics } = this.#options;
    await cluster.refresh(topics).catch(() => undefined);
    return this.#count() > this.#partitions;
  }

  /**
   * One sign of life. A coordinator that is away is looked for with the next one.
   * @returns false when the group rebalances
   * @throws KafkaProblem when the group has forgotten this member
   */
  async #beat(): Promise<boolean> {
    const { cluster, group, logger } = this.#options;
    const sent = performance.now();
    const wasLive = this.live();
    try {
      const { errorCode } = await this.ask('Heartbeat', this.identity);
      check(errorCode, `group ${group}`);
    } catch (error) {
      if (isRebalance(error)) {
        this.#lastBeat = sent;
        return false;
      }
      if (!isPassing(error)) throw error;
      cluster.forgetCoordinator(group);
      await cluster.refresh().catch(() => undefined);
      if (wasLive && !this.live()) {
        logger.warn({ err: error, group }, 'event log: the group is out of reach; waiting for it');
        this.#options.onChange();
      }
      return true;
    }
    const late = !this.live();
    this.#lastBeat = sent;
    this.holding.rewindDoubted();
    if (late) {
      logger.info({ group }, 'event log: the group is within reach again');
      this.#options.onChange();
    }
    return true;
  }

  /** Leaves, so that the others need not wait for the session's end. */
  async leave(): Promise<void> {
    const { cluster, group: groupId } = this.#options;
    this.#stop.abort();
    this.#waiting.wake();
    this.holding.clear();
    const memberId = this.#memberId;
    if (memberId !== '')
      try {
        // Not behind a join that the broker may be holding back.
        const node = await cluster.coordinatorOf(groupId);
        await cluster.links.ask(node, 'LeaveGroup', { groupId, memberId, members: [{ memberId }] }, LEAVE_MS);
      } catch {
        // Then the session's end does it.
      }
    this.#links[Symbol.dispose]();
    await this.#running;
  }
}

function isRebalance(error: unknown): boolean {
  return error instanceof KafkaProblem && error.type === 'REBALANCE_IN_PROGRESS';
}
