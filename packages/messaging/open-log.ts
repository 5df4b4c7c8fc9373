import type { Logger } from '@tradewind/telemetry/logger';
import type { KafkaSettings } from './kafka-log/address.ts';
import { openKafkaLog } from './kafka-log.ts';
import type { EventLog } from './log.ts';
import { openPostgresLog } from './postgres-log.ts';

export interface OpenLogOptions {
  readonly url: string;
  readonly logger: Logger;
  /** What a Kafka URL does not say. */
  readonly kafka?: KafkaSettings;
}

/** Opens the event log that a URL names: postgres://, postgresql://, kafka:// or kafkas://. Rejects when it can't be reached now. */
export async function openLog({ url, logger, kafka }: OpenLogOptions): Promise<EventLog> {
  const [, protocol = ''] = /^([a-z]+):\/\//i.exec(url) ?? [];
  switch (protocol.toLowerCase()) {
    case 'postgres':
    case 'postgresql':
      return await openPostgresLog({ url, logger });
    case 'kafka':
    case 'kafkas':
      return await openKafkaLog({ url, logger, ...(kafka && { settings: kafka }) });
    default:
      throw new Error(`no event log adapter for ${protocol}://`);
  }
}

/** The event log that the settings of `eventLogSettings` name, as `openLog` takes it. */
export function eventLogOf(config: {
  readonly EVENT_LOG_URL: string;
  readonly KAFKA_SASL: KafkaSettings['sasl'];
  readonly KAFKA_USERNAME: string | undefined;
  readonly KAFKA_PASSWORD: string | undefined;
  readonly KAFKA_CA: string | undefined;
  readonly KAFKA_CERT: string | undefined;
  readonly KAFKA_KEY: string | undefined;
  readonly KAFKA_PARTITIONS: number | undefined;
  readonly KAFKA_REPLICATION: number | undefined;
  readonly KAFKA_COMPRESSION: KafkaSettings['compression'];
  readonly KAFKA_SESSION: number | undefined;
}): Pick<OpenLogOptions, 'url' | 'kafka'> {
  return {
    url: config.EVENT_LOG_URL,
    kafka: {
      sasl: config.KAFKA_SASL,
      username: config.KAFKA_USERNAME,
      password: config.KAFKA_PASSWORD,
      ca: config.KAFKA_CA,
      cert: config.KAFKA_CERT,
      key: config.KAFKA_KEY,
      partitions: config.KAFKA_PARTITIONS,
      replication: config.KAFKA_REPLICATION,
      compression: config.KAFKA_COMPRESSION,
      session: config.KAFKA_SESSION,
    },
  };
}
