import { type Admin, Kafka, type KafkaConfig, logLevel } from 'kafkajs';

/** A client that fails at once instead of trying again, and says nothing. */
export function clientOf(address: string, more: Partial<KafkaConfig> = {}): Kafka {
  return new Kafka({
    clientId: 'test',
    brokers: [address],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 20_000,
    requestTimeout: 30_000,
    retry: { retries: 0 },
    ...more,
  });
}

/** Runs something with an administrator's connection. */
export async function administering<T>(kafka: Kafka, what: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    return await what(admin);
  } finally {
    await admin.disconnect();
  }
}

/** Appends one record to a topic, acknowledged. */
export async function put(kafka: Kafka, topic: string, value: string): Promise<void> {
  const producer = kafka.producer();
  try {
    await producer.connect();
    await producer.send({ topic, acks: -1, messages: [{ value }] });
  } finally {
    await producer.disconnect();
  }
}

/** The end offsets of a topic. */
export async function ends(kafka: Kafka, topic: string): Promise<string[]> {
  return await administering(kafka, async (admin) =>
    (await admin.fetchTopicOffsets(topic)).map(({ high }) => high),
  );
}
