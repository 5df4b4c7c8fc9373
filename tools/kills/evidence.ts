import type { DescFile } from '@bufbuild/protobuf';
import { hasOption } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { topic as topicOption } from '@tradewind/contracts/messaging/v1/topic';
import { file_tradewind_order_v1_events } from '@tradewind/contracts/order/v1/events';
import { file_tradewind_product_v1_events } from '@tradewind/contracts/product/v1/events';
import { file_tradewind_ratings_v1_events } from '@tradewind/contracts/ratings/v1/events';
import { file_tradewind_stock_v1_events } from '@tradewind/contracts/stock/v1/events';
import { deadLetterTopic, topicOf } from '@tradewind/messaging/contract';
import type { EventLog } from '@tradewind/messaging/log';
import { openLog } from '@tradewind/messaging/open-log';
import { delay } from '@tradewind/process/backoff';
import { createLogger } from '@tradewind/telemetry/logger';
import { Client } from 'pg';
import { services } from '../start/services.ts';
import type { System } from './system.ts';

const contracts: readonly DescFile[] = [
  file_tradewind_order_v1_events,
  file_tradewind_product_v1_events,
  file_tradewind_ratings_v1_events,
  file_tradewind_stock_v1_events,
];

/** What the services left where no public call looks. */
export interface Evidence {
  /** Dead letters, each with its topic and why. */
  readonly deadLetters: readonly string[];
  /** Facts that never left, by service. */
  readonly unsent: readonly string[];
}

/** How long facts may need to leave after the last saga has settled. */
const REST_MS = 15_000;

/** Looks for dead letters on the log, and for facts that stay in an outbox. */
export async function examine(system: System): Promise<Evidence> {
  const unsent = await Promise.all(services.map(({ name }) => unsentOf(name, system.databaseUrl(name))));
  const logger = createLogger({ service: 'kills', level: 'silent' });
  await using log = await openLog({ url: system.databaseUrl('log'), logger });
  const topics = contracts
    .flatMap(({ messages }) => messages)
    .filter((message) => hasOption(message, topicOption))
    .map((message) => deadLetterTopic(topicOf(message).name));
  const found = await Promise.all(topics.map((topic) => deadLettersOf(log, topic)));
  // A topic that nobody consumes has none; if there were none at all, they would be looked for in the wrong place.
  if (found.every((letters) => letters === undefined))
    throw new Error('there is no dead-letter topic on the log');
  return {
    deadLetters: found.flatMap((letters) => letters ?? []),
    unsent: unsent.flat(),
  };
}

async function deadLettersOf(log: EventLog, topic: string): Promise<string[] | undefined> {
  const bounds = await log.bounds(topic).catch((error: unknown) => {
    if (ConnectError.from(error).code === Code.NotFound) return undefined;
    throw error;
  });
  if (!bounds) return undefined;
  const read = bounds.map(({ partition, start }) => log.read({ topic, partition, offset: start }, 20));
  return (await Promise.all(read)).flat().map(({ headers, key }) => {
    const { dlq_group: group, dlq_reason: reason, dlq_error: error } = headers;
    return `${topic}, key ${key}: ${group} gave up (${reason}): ${error}`;
  });
}

async function unsentOf(service: string, connectionString: string): Promise<string[]> {
  const client = new Client({ connectionString });
  await client.connect();
  try {
    for (const deadline = Date.now() + REST_MS; ; await delay(50)) {
      const { rows } = await client.query<{ count: string }>('SELECT count(*) FROM outbox');
      const count = Number(rows[0]?.count);
      if (count === 0) return [];
      if (Date.now() > deadline) return [`${count} facts stay in the outbox of ${service}`];
    }
  } finally {
    await client.end();
  }
}
