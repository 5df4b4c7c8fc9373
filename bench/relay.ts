import { join } from 'node:path';
import { startEmbeddedPostgres } from '@tradewind/database/embedded';
import { messagingSteps } from '@tradewind/messaging/tables';
import { freePort } from '@tradewind/testing/port';
import { Client } from 'pg';
import { count } from './check.ts';
import type { RelayAnswer } from './relay-process.ts';
import { assertDurable } from './stage.ts';
import { median } from './statistics.ts';
import { startWorker, type Worker } from './worker.ts';

/**
 * A full outbox, emptied by the relay into a real log, against the plainest loop in a process of the same kind: SELECT 2,000, INSERT them into a
 * table without partitions, DELETE them.
 */
export interface RelayBench {
  readonly facts: number;
  readonly eventsPerSecond: number;
  readonly plainPerSecond: number;
  readonly ratio: number;
  /** Microseconds of CPU an event, of the process, without PostgreSQL. */
  readonly cpuMicros: number;
  readonly plainCpuMicros: number;
  readonly rounds: readonly Round[];
}

interface Round {
  readonly eventsPerSecond: number;
  readonly plainPerSecond: number;
  readonly cpuMicros: number;
  readonly plainCpuMicros: number;
}

export interface RelayOptions {
  readonly root: string;
  readonly signal: AbortSignal;
  readonly facts: number;
  readonly rounds: number;
  readonly say: (line: string) => void;
}

const PLAIN_LOG = `CREATE TABLE plain_log (
  "offset" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  key text, value bytea, headers json NOT NULL, appended_at timestamptz NOT NULL)`;

const FILL = `
  INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, source, content_type)
  SELECT uuidv7(), 'order.created', id, 'tradewind.order.v1.OrderCreated', convert_to(json_build_object(
      'order_id', id, 'customer_id', 'c-7', 'lines', json_build_array(json_build_object('product_id', 1, 'quantity', 2, 'unit_price', '5000', 'total_price', '10000')),
      'total_price', '10000', 'currency', 'USD', 'revision', '1')::text, 'UTF8'), 'order', 'application/json'
  FROM (SELECT uuidv7()::text AS id FROM generate_series(1, $1::int)) AS one`;

export async function benchRelay({ root, signal, facts, rounds, say }: RelayOptions): Promise<RelayBench> {
  await using server = await startEmbeddedPostgres({ dataDir: join(root, 'relay'), port: await freePort() });
  for (const name of ['facts', 'log']) await server.createDatabase(name);
  const client = new Client({ connectionString: server.url('facts') });
  await client.connect();
  try {
    await assertDurable(client);
    for (const text of [...messagingSteps.flatMap(({ up }) => up), PLAIN_LOG]) await client.query(text);
    const start = (kind: string) =>
      startWorker(signal, './relay-process.ts', kind, server.url('facts'), server.url('log'));
    await using relay = await start('relay');
    await using plain = await start('plain');
    // The first rows pay for the compilers.
    for (const worker of [relay, plain]) await emptied(client, worker, 20_000);
    const done: Round[] = [];
    for (let n = 0; n < rounds; n++) {
      const first = await emptied(client, n % 2 === 0 ? relay : plain, facts);
      const second = await emptied(client, n % 2 === 0 ? plain : relay, facts);
      const [ours, theirs] = n % 2 === 0 ? [first, second] : [second, first];
      done.push({
        eventsPerSecond: ours.perSecond,
        plainPerSecond: theirs.perSecond,
        cpuMicros: ours.micros,
        plainCpuMicros: theirs.micros,
      });
      say(
        `round ${n + 1}: relay ${ours.perSecond.toFixed(0)} events/s, plain loop ${theirs.perSecond.toFixed(0)}`,
      );
    }
    const middle = (pick: (round: Round) => number) => median(done.map(pick));
    return {
      facts,
      eventsPerSecond: middle(({ eventsPerSecond }) => eventsPerSecond),
      plainPerSecond: middle(({ plainPerSecond }) => plainPerSecond),
      ratio: middle(({ eventsPerSecond, plainPerSecond }) => eventsPerSecond / plainPerSecond),
      cpuMicros: middle(({ cpuMicros }) => cpuMicros),
      plainCpuMicros: middle(({ plainCpuMicros }) => plainCpuMicros),
      rounds: done,
    };
  } finally {
    await client.end();
  }
}

/** Fills the outbox and has it emptied. */
async function emptied(
  client: Client,
  worker: Worker,
  facts: number,
): Promise<{ perSecond: number; micros: number }> {
  await client.query('TRUNCATE outbox');
  await client.query(FILL, [facts]);
  const { startedAt, endedAt, cpuSeconds } = await worker.ask<number, RelayAnswer>(facts);
  const left = await count(client, 'SELECT count(*) FROM outbox');
  if (left > 0) throw new Error(`${left} facts are still in the outbox`);
  return { perSecond: (facts / (endedAt - startedAt)) * 1_000, micros: (cpuSeconds / facts) * 1e6 };
}
