// Empties an outbox, in a process of its own: `relay` does it as the services do, `plain` in the plainest way that there is. Arguments: which,
// the database's URL, the log's URL.
import { OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { topicOf } from '@tradewind/messaging/contract';
import { openLog } from '@tradewind/messaging/open-log';
import { startRelay } from '@tradewind/messaging/relay';
import { createLogger } from '@tradewind/telemetry/logger';
import { Client } from 'pg';
import { answerParent, monotonic } from './worker.ts';

/** Milliseconds of the monotonic clock, and the CPU seconds that the process spent between. */
export interface RelayAnswer {
  readonly startedAt: number;
  readonly endedAt: number;
  readonly cpuSeconds: number;
}

const [kind, databaseUrl = '', logUrl = ''] = process.argv.slice(2);
const BATCH = 2_000;
const LOOK_MS = 5;

async function relayed(facts: number): Promise<void> {
  const logger = createLogger({ service: 'bench', level: 'warn', destination: 2 });
  await using log = await openLog({ url: logUrl, logger });
  const { name, retentionMs } = topicOf(OrderCreatedSchema);
  await log.createTopics([{ name, retentionMs }]);
  const end = async () => (await log.bounds(name)).reduce((sum, { end }) => sum + Number(end), 0);
  const goal = (await end()) + facts;
  await using _relay = startRelay({ databaseUrl, log, logger });
  while ((await end()) < goal) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
}

interface Row {
  readonly position: string;
  readonly id: string;
  readonly aggregateid: string;
  readonly type: string;
  readonly source: string;
  readonly payload: Buffer;
}

const select = {
  name: 'select',
  text: 'SELECT position, id, aggregateid, type, source, payload FROM outbox ORDER BY position LIMIT $1',
};
const insert = {
  name: 'insert',
  text: `INSERT INTO plain_log (key, value, headers, appended_at)
    SELECT key, value, headers, now() FROM unnest($1::text[], $2::bytea[], $3::json[]) AS record (key, value, headers)`,
};
const remove = { name: 'remove', text: 'DELETE FROM outbox WHERE position = ANY($1::bigint[])' };

/** Reads some, inserts them, deletes them: two commits a batch. No partitions, no owner, nobody is told. */
async function copied(): Promise<void> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  for (;;) {
    const { rows } = await client.query<Row>({ ...select, values: [BATCH] });
    if (rows.length === 0) break;
    const headers = rows.map(({ id, type, source, aggregateid }) =>
      JSON.stringify({
        ce_specversion: '1.0',
        ce_id: id,
        ce_type: type,
        ce_source: source,
        ce_subject: aggregateid,
      }),
    );
    const values = [rows.map(({ aggregateid }) => aggregateid), rows.map(({ payload }) => payload), headers];
    await client.query({ ...insert, values });
    await client.query({ ...remove, values: [rows.map(({ position }) => position)] });
  }
  await client.end();
}

answerParent(async (facts: number): Promise<RelayAnswer> => {
  const before = process.cpuUsage();
  const startedAt = monotonic();
  await (kind === 'plain' ? copied() : relayed(facts));
  const endedAt = monotonic();
  const { user, system } = process.cpuUsage(before);
  return { startedAt, endedAt, cpuSeconds: (user + system) / 1e6 };
});
