import { join } from 'node:path';
import { startEmbeddedPostgres } from '@tradewind/database/embedded';
import { messagingSteps } from '@tradewind/messaging/tables';
import { freePort } from '@tradewind/testing/port';
import { Client } from 'pg';
import { count } from './check.ts';
import type { LogName, PerLog } from './options.ts';
import type { RelayAnswer } from './relay-process.ts';
import { assertDurable, openBroker, type RunContext } from './stage.ts';
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
  /** Microseconds of CPU an event, of the process, without PostgreSQL or Kafka. */
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

export interface RelayOptions extends RunContext {
  readonly logs: readonly LogName[];
  readonly facts: number;
  readonly rounds: number;
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

export async function benchRelay(options: RelayOptions): Promise<PerLog<RelayBench>> {
  const { root, signal, logs, rounds, say } = options;
  await using scope = new AsyncDisposableStack();
  const server = scope.use(
    await startEmbeddedPostgres({ dataDir: join(root, 'relay'), port: await freePort() }),
  );
  for (const name of ['facts', 'log']) await server.createDatabase(name);
  const client = new Client({ connectionString: server.url('facts') });
  await client.connect();
  scope.defer(() => client.end());
  await assertDurable(client);
  for (const text of [...messagingSteps.flatMap(({ up }) => up), PLAIN_LOG]) await client.query(text);
  const start = async (kind: string, logUrl = server.url('log')) => {
    const args = [kind, server.url('facts'), logUrl] as const;
    const worker = scope.use(await startWorker(signal, './relay-process.ts', ...args));
    // The first rows pay for the compilers.
    await emptied(client, worker, 20_000);
    return worker;
  };
  const plain = await start('plain');
  const runs = [];
  for (const log of logs) {
    const url = log === 'kafka' ? scope.use(await openBroker(options, 'relay')).url : undefined;
    runs.push({ log, relay: await start('relay', url), done: [] as Round[] });
  }
  for (let n = 0; n < rounds; n++) {
    for (const { log, relay, done } of runs) {
      const round = await inTurn(client, n % 2 === 0, relay, plain, options.facts);
      done.push(round);
      say(
        `round ${n + 1}, ${log}: relay ${round.eventsPerSecond.toFixed(0)} events/s, plain loop ${round.plainPerSecond.toFixed(0)}`,
      );
    }
  }
  return Object.fromEntries(runs.map(({ log, done }) => [log, summary(options.facts, done)]));
}

async function inTurn(
  client: Client,
  relayFirst: boolean,
  relay: Worker,
  plain: Worker,
  facts: number,
): Promise<Round> {
  const first = await emptied(client, relayFirst ? relay : plain, facts);
  const second = await emptied(client, relayFirst ? plain : relay, facts);
  const [ours, theirs] = relayFirst ? [first, second] : [second, first];
  return {
    eventsPerSecond: ours.perSecond,
    plainPerSecond: theirs.perSecond,
    cpuMicros: ours.micros,
    plainCpuMicros: theirs.micros,
  };
}

function summary(facts: number, rounds: readonly Round[]): RelayBench {
  const middle = (pick: (round: Round) => number) => median(rounds.map(pick));
  return {
    facts,
    eventsPerSecond: middle(({ eventsPerSecond }) => eventsPerSecond),
    plainPerSecond: middle(({ plainPerSecond }) => plainPerSecond),
    ratio: middle(({ eventsPerSecond, plainPerSecond }) => eventsPerSecond / plainPerSecond),
    cpuMicros: middle(({ cpuMicros }) => cpuMicros),
    plainCpuMicros: middle(({ plainCpuMicros }) => plainCpuMicros),
    rounds,
  };
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
