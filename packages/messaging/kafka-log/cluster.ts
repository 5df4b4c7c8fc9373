import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Logger } from '@tradewind/telemetry/logger';
import { Away, check, isPassing, KafkaProblem } from './failure.ts';
import type { Api, ApiName } from './protocol.ts';
import { type Address, type Security, Wire } from './wire.ts';

export interface ClusterOptions {
  /** Where to ask first. */
  readonly seeds: readonly Address[];
  readonly security: Security;
  readonly clientId: string;
  readonly logger: Logger;
  readonly connectMs: number;
  /** How long an answer may take that the broker does not hold back on purpose, in milliseconds. */
  readonly answerMs: number;
  /** How long what fails for a passing reason is tried again, in milliseconds. */
  readonly patienceMs: number;
}

/** A topic as the brokers tell it. */
export interface KafkaTopic {
  readonly name: string;
  readonly partitions: number;
  /** The node that leads each partition; negative when none does just now. */
  readonly leaders: readonly number[];
  /** The largest batch that it takes, in bytes. */
  maxBytes: number | undefined;
}

/** Any topic: asking for none would mean all. It need not be there. */
const SOME_TOPIC = '__consumer_offsets';

/** What is known of a Kafka cluster, and the ways to its brokers. */
export class Cluster implements Disposable {
  readonly options: ClusterOptions;
  /** Connections for short questions. */
  readonly links: Links;
  #id = '';
  #controller = -1;
  #nodes = new Map<number, Address>();
  readonly #topics = new Map<string, KafkaTopic>();
  readonly #coordinators = new Map<string, number>();

  constructor(options: ClusterOptions) {
    this.options = options;
    this.links = new Links(this);
  }

  /** Kafka's name for itself. */
  get id(): string {
    return this.#id;
  }

  /** Where a node is. */
  addressOf(node: number): Address | undefined {
    return this.#nodes.get(node);
  }

  /** Where anybody may be found. */
  addresses(): Address[] {
    return [...this.#nodes.values(), ...this.options.seeds];
  }

  /** Looks up topics, and where the nodes are. What is not there is forgotten. */
  async refresh(names: readonly string[] = []): Promise<void> {
    const topics = names.length > 0 ? [...new Set(names)] : [SOME_TOPIC];
    const answer = await this.links.askAny('Metadata', { topics, allowAutoTopicCreation: false });
    this.#id = answer.clusterId;
    this.#controller = answer.controllerId;
    this.#nodes = new Map(answer.brokers.map(({ nodeId, host, port }) => [nodeId, { host, port }]));
    for (const { topic: name, topicErrorCode, partitionMetadata } of answer.topicMetadata) {
      const problem = topicErrorCode ? new KafkaProblem(topicErrorCode, `topic ${name}`) : undefined;
      if (!problem && partitionMetadata.length > 0) {
        const leaders: number[] = [];
        for (const { partitionId, leader } of partitionMetadata) leaders[partitionId] = leader;
        const maxBytes = this.#topics.get(name)?.maxBytes;
        this.#topics.set(name, { name, partitions: leaders.length, leaders, maxBytes });
      } else if (problem?.type === 'UNKNOWN_TOPIC_OR_PARTITION') this.#topics.delete(name);
      else if (problem && !problem.passing && name !== SOME_TOPIC) throw problem;
    }
  }

  /** The topic, if it was seen before. */
  known(name: string): KafkaTopic | undefined {
    return this.#topics.get(name);
  }

  /**
   * Topics by name, in the order of `names`; looked up when they were not seen before.
   * @throws ConnectError with `NotFound` when one is not there
   */
  async topics(names: readonly string[]): Promise<KafkaTopic[]> {
    const unseen = names.filter((name) => !this.#topics.has(name));
    if (unseen.length > 0) await this.refresh(unseen);
    return names.map((name) => {
      const topic = this.#topics.get(name);
      if (!topic) throw new ConnectError(`there is no topic ${name}`, Code.NotFound);
      return topic;
    });
  }

  /** The node that leads a partition; negative when none is known. */
  leaderOf(topic: string, partition: number): number {
    return this.#topics.get(topic)?.leaders[partition] ?? -1;
  }

  /** The node that makes topics; negative when none is known. */
  get controller(): number {
    return this.#controller;
  }

  /**
   * The node that coordinates a group.
   * @param anew what was known is wrong
   */
  async coordinatorOf(groupId: string, anew = false): Promise<number> {
    const known = this.#coordinators.get(groupId);
    if (known !== undefined && !anew) return known;
    const { errorCode, coordinator } = await this.links.askAny('GroupCoordinator', { groupId });
    check(errorCode, `group ${groupId}`);
    if (!this.#nodes.has(coordinator.nodeId)) await this.refresh();
    this.#coordinators.set(groupId, coordinator.nodeId);
    return coordinator.nodeId;
  }

  forgetCoordinator(groupId: string): void {
    this.#coordinators.delete(groupId);
  }

  /** How long a failure is taken for a passing one, in milliseconds: a broker that answers is about to be ready. */
  patienceWith(error: unknown): number {
    return this.options.patienceMs * (error instanceof KafkaProblem ? 4 : 1);
  }

  /** Does something again while it fails for a passing reason, for as long as the cluster has patience. */
  async persist<T>(work: () => Promise<T>, topics: readonly string[] = []): Promise<T> {
    const began = performance.now();
    for (let failures = 0; ; failures++) {
      try {
        return await work();
      } catch (error) {
        if (!isPassing(error) || performance.now() - began > this.patienceWith(error)) throw error;
        await sleep(Math.min(20 * 2 ** failures, 500));
        await this.refresh(topics).catch(() => undefined);
      }
    }
  }

  [Symbol.dispose](): void {
    this.links[Symbol.dispose]();
  }
}

/** Connections of one user, made when they are needed, one a node. */
export class Links implements Disposable {
  readonly #cluster: Cluster;
  readonly #wires = new Map<string, Promise<Wire>>();
  #closed = false;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** @throws Away when it can't be reached */
  async to(node: number): Promise<Wire> {
    const address = this.#cluster.addressOf(node);
    if (!address) throw new Away(`node ${node} is not there`);
    return await this.#wire(address);
  }

  async #wire(address: Address): Promise<Wire> {
    if (this.#closed) throw new Away('closed');
    const name = `${address.host}:${address.port}`;
    const known = this.#wires.get(name);
    if (known) {
      const wire = await known;
      if (wire.alive) return wire;
      if (this.#wires.get(name) === known) {
        this.#wires.delete(name);
        // Its login is about to end; what it is asked just now may still be answered.
        setTimeout(() => wire[Symbol.dispose](), this.#cluster.options.answerMs).unref();
      }
      return await this.#wire(address);
    }
    const opening = Wire.open(address, this.#cluster.options);
    this.#wires.set(name, opening);
    try {
      const wire = await opening;
      if (this.#closed) wire[Symbol.dispose]();
      return wire;
    } catch (error) {
      if (this.#wires.get(name) === opening) this.#wires.delete(name);
      throw error;
    }
  }

  /** Asks a node. */
  async ask<A extends ApiName>(
    node: number,
    api: A,
    ask: Api[A]['ask'],
    patienceMs = this.#cluster.options.answerMs,
  ): Promise<Api[A]['answer']> {
    return await (await this.to(node)).ask(api, ask, patienceMs);
  }

  /** Asks the first broker that answers. */
  async askAny<A extends ApiName>(api: A, ask: Api[A]['ask']): Promise<Api[A]['answer']> {
    let failure: unknown = new Away('no broker is known');
    for (const address of this.#candidates()) {
      try {
        return await (await this.#wire(address)).ask(api, ask, this.#cluster.options.answerMs);
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  /** Brokers that are connected first, each once. */
  #candidates(): Address[] {
    const all = new Map(
      this.#cluster.addresses().map((address) => [`${address.host}:${address.port}`, address]),
    );
    return [...all]
      .sort(([a], [b]) => Number(this.#wires.has(b)) - Number(this.#wires.has(a)))
      .map(([, address]) => address);
  }

  /** Gives up the connections; they are made anew. */
  drop(): void {
    for (const opening of this.#wires.values())
      void opening.then(
        (wire) => wire[Symbol.dispose](),
        () => undefined,
      );
    this.#wires.clear();
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.drop();
  }
}
