import { type DescMessage, getOption, hasOption } from '@bufbuild/protobuf';
import { topic as topicOption } from '@tradewind/contracts/messaging/v1/topic';
import type { TopicSpec } from './log.ts';

/** What a contract says of its event's topic. */
export interface Topic {
  readonly name: string;
  /** The event's field, by its local name, whose value is the record's key. */
  readonly keyField: string;
  /** Milliseconds that records are kept at least; null for ever. */
  readonly retentionMs: number | null;
  /** Events are written with lowerCamelCase names instead of proto field names. */
  readonly lowerCamelCase: boolean;
}

const WEEK_MS = 7 * 24 * 3600_000;
/** Dead letters wait for a person, so longer than a holiday. */
const DEAD_LETTER_MS = 90 * 24 * 3600_000;
const topics = new WeakMap<DescMessage, Topic>();

/** The topic that an event's message names with `option (tradewind.messaging.v1.topic)`. Throws where it names none. */
export function topicOf(schema: DescMessage): Topic {
  const known = topics.get(schema);
  if (known) return known;
  if (!hasOption(schema, topicOption))
    throw new Error(`${schema.typeName} names no topic: it is not an event`);
  const { name, key, retention, keepForEver, lowerCamelCase } = getOption(schema, topicOption);
  const field = schema.fields.find((candidate) => candidate.name === key);
  if (!field) throw new Error(`${schema.typeName} has no field ${key}, which its topic names as the key`);
  const topic: Topic = {
    name,
    keyField: field.localName,
    retentionMs: keepForEver ? null : retention ? Number(retention.seconds) * 1000 : WEEK_MS,
    lowerCamelCase,
  };
  topics.set(schema, topic);
  return topic;
}

/** Where records go that a consumer of the topic gave up on. */
export function deadLetterTopic(topic: string): string {
  return `${topic}.dlq`;
}

/** Where dead letters come back to the group that gave up on them, and to nobody else. */
export function redriveTopic(group: string): string {
  return `${group}.redrive`;
}

/**
 * The topics that a service needs, each once: those of the events that it tells, and with a dead-letter topic each those that it hears. Kafka refuses to
 * make a topic that is named twice.
 */
export function topicSpecs(
  group: string,
  tells: readonly DescMessage[],
  hears: readonly DescMessage[],
): TopicSpec[] {
  const spec = (schema: DescMessage): TopicSpec => {
    const { name, retentionMs } = topicOf(schema);
    return { name, retentionMs };
  };
  const all: TopicSpec[] = [
    ...tells.map(spec),
    ...hears.flatMap((schema) => [
      spec(schema),
      { name: deadLetterTopic(topicOf(schema).name), partitions: 1, retentionMs: DEAD_LETTER_MS },
    ]),
    ...(hears.length > 0
      ? [
          { name: redriveTopic(group), partitions: 1, retentionMs: WEEK_MS },
          // For what somebody put on the redrive topic that was never a dead letter.
          { name: deadLetterTopic(redriveTopic(group)), partitions: 1, retentionMs: DEAD_LETTER_MS },
        ]
      : []),
  ];
  return [...new Map(all.map((topic) => [topic.name, topic])).values()];
}
