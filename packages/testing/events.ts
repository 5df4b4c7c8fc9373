import {
  create,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
  toJsonString,
} from '@bufbuild/protobuf';
import { deadLetterTopic, topicOf } from '@tradewind/messaging/contract';
import { decodeEvent } from '@tradewind/messaging/event';
import type { EventLog, LogRecord, ReceivedRecord } from '@tradewind/messaging/log';
import { v7 } from 'uuid';

/** An event as another service's relay would put it on the log; the same `id` makes it the same event. */
export function recordOf<Desc extends DescMessage>(
  schema: Desc,
  event: MessageInitShape<Desc>,
  id: string = v7(),
): LogRecord {
  const message = create(schema, event);
  const { name, keyField, lowerCamelCase } = topicOf(schema);
  return {
    topic: name,
    key: String((message as Record<string, unknown>)[keyField]),
    value: Buffer.from(toJsonString(schema, message, { useProtoFieldName: !lowerCamelCase })),
    headers: {
      ce_specversion: '1.0',
      ce_id: id,
      ce_type: schema.typeName,
      ce_source: 'test',
      'content-type': 'application/json',
    },
  };
}

/** Appends records in order. */
export async function append(log: EventLog, ...records: readonly LogRecord[]): Promise<void> {
  await using producer = await log.producer();
  await producer.append(records);
}

/** Every record of a topic; in order within each key. */
export async function recordsOf(log: EventLog, topic: string): Promise<ReceivedRecord[]> {
  const partitions = await log.bounds(topic);
  const read = partitions.map(({ partition, start }) =>
    log.read({ topic, partition, offset: start }, 100_000),
  );
  return (await Promise.all(read)).flat();
}

/** Every event of a kind that was told. */
export async function eventsOf<Desc extends DescMessage>(
  log: EventLog,
  schema: Desc,
): Promise<MessageShape<Desc>[]> {
  return (await recordsOf(log, topicOf(schema).name)).map((record) => decodeEvent(schema, record));
}

/** Every record of a kind that its consumer gave up on. */
export async function deadLettersOf(log: EventLog, schema: DescMessage): Promise<ReceivedRecord[]> {
  return await recordsOf(log, deadLetterTopic(topicOf(schema).name));
}

/** Records of these kinds that the group has not dealt with yet. */
export async function behind(
  log: EventLog,
  group: string,
  ...schemas: readonly DescMessage[]
): Promise<number> {
  const topics = schemas.map((schema) => topicOf(schema).name);
  return (await log.lag(group, topics)).reduce((sum, { lag }) => sum + Number(lag), 0);
}
