import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import type { TopicDifference, TopicSpec } from '../log.ts';
import type { Cluster } from './cluster.ts';
import { Away, check, KafkaProblem } from './failure.ts';

const NAME = /^(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}$/;

export interface TopicDefaults {
  readonly partitions: number;
  /** -1: the brokers' default. */
  readonly replication: number;
}

/** Makes topics that are not there yet, and answers those that differ from what is wanted. */
export async function createTopics(
  cluster: Cluster,
  specs: readonly TopicSpec[],
  { partitions: usual, replication }: TopicDefaults,
): Promise<TopicDifference[]> {
  for (const { name, partitions = 1 } of specs) {
    if (!NAME.test(name)) throw new ConnectError(`${name} can't be a topic's name`, Code.InvalidArgument);
    if (!Number.isInteger(partitions) || partitions < 1)
      throw new ConnectError(`topic ${name} can't have ${partitions} partitions`, Code.InvalidArgument);
  }
  if (specs.length === 0) return [];
  const names = specs.map(({ name }) => name);
  await cluster.persist(() => cluster.refresh(names));
  const missing = specs.filter(({ name }) => !cluster.known(name));
  if (missing.length > 0) {
    await cluster.persist(() => create(cluster, missing, usual, replication));
    await appear(
      cluster,
      missing.map(({ name }) => name),
    );
  }
  const found = await cluster.topics(names);
  return specs.flatMap(({ name, partitions }, i) => {
    const there = found[i]?.partitions ?? 0;
    return partitions === undefined || partitions === there
      ? []
      : [{ topic: name, wanted: partitions, found: there }];
  });
}

async function create(
  cluster: Cluster,
  specs: readonly TopicSpec[],
  usual: number,
  replication: number,
): Promise<void> {
  const { topicErrors } = await cluster.links.ask(cluster.controller, 'CreateTopics', {
    topics: specs.map(({ name: topic, partitions = usual, retentionMs }) => ({
      topic,
      numPartitions: partitions,
      replicationFactor: replication,
      configEntries: [
        { name: 'retention.ms', value: String(retentionMs ?? -1) },
        // The log dates records, so that a producer's wrong clock neither keeps them for ever nor loses them.
        { name: 'message.timestamp.type', value: 'LogAppendTime' },
      ],
    })),
    validateOnly: false,
    timeout: cluster.options.answerMs,
  });
  for (const { topic, errorCode, errorMessage } of topicErrors) {
    if (!errorCode) continue;
    const problem = new KafkaProblem(errorCode, `topic ${topic}${errorMessage ? `: ${errorMessage}` : ''}`);
    if (problem.type !== 'TOPIC_ALREADY_EXISTS') throw problem;
  }
}

/** Waits until all brokers that are asked know the topics, with a leader for each partition. */
async function appear(cluster: Cluster, names: readonly string[]): Promise<void> {
  const until = performance.now() + 4 * cluster.options.patienceMs;
  for (;;) {
    await cluster.refresh(names);
    const ready = names.every((name) => cluster.known(name)?.leaders.every((node) => node >= 0) ?? false);
    if (ready) return;
    if (performance.now() > until) throw new Away(`topics do not appear: ${names.join(', ')}`);
    await sleep(20);
  }
}

/** Kafka's kind of resource that a topic is. */
const TOPIC_RESOURCE = 2;
const MAX_BYTES = 'max.message.bytes';
/** Kafka's default, for who may not look. */
const MAX_BYTES_DEFAULT = 1_048_588;

/** Looks up how large a batch these topics take, where it is not known yet. */
export async function learnLimits(cluster: Cluster, names: Iterable<string>): Promise<void> {
  const unknown = [...new Set(names)].filter((name) => {
    const topic = cluster.known(name);
    return topic && topic.maxBytes === undefined;
  });
  if (unknown.length === 0) return;
  const { resources } = await cluster.links.askAny('DescribeConfigs', {
    resources: unknown.map((name) => ({ type: TOPIC_RESOURCE, name, configNames: [MAX_BYTES] })),
    includeSynonyms: false,
  });
  for (const { resourceName, configEntries, errorCode } of resources) {
    const topic = cluster.known(resourceName);
    if (!topic) continue;
    const problem = errorCode ? new KafkaProblem(errorCode, resourceName) : undefined;
    if (problem?.passing) check(errorCode, resourceName);
    const value = configEntries.find(({ configName }) => configName === MAX_BYTES)?.configValue;
    topic.maxBytes = value ? Number(value) : MAX_BYTES_DEFAULT;
  }
}
