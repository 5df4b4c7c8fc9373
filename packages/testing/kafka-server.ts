import { startBroker } from './kafka.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Of the run's broker: `kafka://127.0.0.1:PORT`. */
    readonly kafkaUrl: string;
  }
}

/** A member that dies is missed after the client's session time; the broker must allow short ones, or every such test takes six seconds. */
const PROPERTIES = { 'group.min.session.timeout.ms': '500' };

/**
 * vitest's global setup: one real Kafka for the run. Its address reaches the test files by `inject('kafkaUrl')`. A TEST_KAFKA_URL from
 * outside is used as it is. Without Java 17 the run fails and says so; it never skips.
 */
export default async function setup(project: {
  provide(key: 'kafkaUrl', url: string): void;
}): Promise<() => Promise<void>> {
  const given = process.env.TEST_KAFKA_URL;
  if (given) {
    project.provide('kafkaUrl', given);
    return async () => undefined;
  }
  const broker = await startBroker({ properties: PROPERTIES });
  project.provide('kafkaUrl', broker.url);
  return async () => await broker[Symbol.asyncDispose]();
}
