import { OrderCanceledSchema, OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { StockExceededAmountSchema, StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import { topicOf } from '@tradewind/messaging/contract';
import type { EventLog } from '@tradewind/messaging/log';
import type { Case } from './judge.ts';

const ORDERS = 5;
const topics = [OrderCreatedSchema, OrderCanceledSchema, StockReservedSchema, StockExceededAmountSchema].map(
  (schema) => topicOf(schema).name,
);

/** Where the events of orders that do not settle are: in an outbox, on the log, held; and what stock has of them. For people. */
export async function whereTheyAre({ databases, world }: Case): Promise<string[]> {
  const pending = await databases.order.query<{ id: string; created_at: Date }>(
    `SELECT id, created_at FROM orders WHERE status = 'PENDING' ORDER BY created_at LIMIT ${ORDERS}`,
  );
  const lines: string[] = [];
  for (const { id, created_at } of pending) {
    lines.push(`order ${id}, PENDING since ${created_at.toISOString()}:`);
    for (const service of ['order', 'stock'] as const) {
      const facts = await databases[service].query<{ aggregatetype: string; created_at: Date }>(
        'SELECT aggregatetype, created_at FROM outbox WHERE aggregateid = $1 ORDER BY position',
        [id],
      );
      for (const fact of facts)
        lines.push(
          `  ${fact.aggregatetype} in the outbox of ${service} since ${fact.created_at.toISOString()}`,
        );
    }
    const [reservation] = await databases.stock.query<{ outcome: string }>(
      'SELECT outcome FROM reservation WHERE order_id = $1',
      [id],
    );
    lines.push(`  stock has it as ${reservation?.outcome ?? 'nothing'}`);
    for (const topic of topics) lines.push(...(await onLog(world.log, topic, id)));
  }
  return lines;
}

/** The newest records of its partitions are looked through, for one that is stuck is of the last minutes. */
async function onLog(log: EventLog, topic: string, key: string): Promise<string[]> {
  const found: string[] = [];
  for (const { partition, start, end } of await log.bounds(topic)) {
    const from = end - 5_000n > start ? end - 5_000n : start;
    for (let offset = from; offset < end; ) {
      const records = await log.read({ topic, partition, offset }, 1_000);
      const last = records.at(-1);
      if (!last) break;
      offset = last.offset + 1n;
      for (const record of records)
        if (record.key === key)
          found.push(
            `  ${topic}/${partition} at ${record.offset}, event ${record.headers.ce_id} since ${record.appendedAt.toISOString()}`,
          );
    }
  }
  return found;
}
