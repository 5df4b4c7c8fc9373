import { join } from 'node:path';
import { startEmbeddedPostgres } from '@tradewind/database/embedded';
import type { EventLog, LogRecord } from '@tradewind/messaging/log';
import { openLog } from '@tradewind/messaging/open-log';
import { createLogger } from '@tradewind/telemetry/logger';
import { freePort } from '@tradewind/testing/port';
import type { LogName, PerLog } from './options.ts';
import { openBroker, type RunContext } from './stage.ts';

export interface LogBench {
  /** Records a second that one producer appends, 500 a call. */
  readonly appendPerSecond: number;
  /** Records a second that one member receives and commits, while nothing is appended. */
  readonly receivePerSecond: number;
  /** Records a second from many callers of one record each, 64 at a time. */
  readonly appendOnePerSecond: number;
  /** Milliseconds from the call of an append of one record to its receipt, within a process. */
  readonly latencyMs: { readonly p50: number; readonly p99: number };
  /** The same between two openings of the log, as between processes. */
  readonly remoteLatencyMs: { readonly p50: number; readonly p99: number };
}

const TOPIC = 'bench';
const BATCH = 500;
const RECORDS = 100_000;

const value = Buffer.from(
  '{"order_id":"0193aaaa-bbbb-7ccc-8ddd-eeeeffff0000","customer_id":"c-7","lines":[{"product_id":1,"quantity":2,"unit_price":"5000"}],"total_price":"10000","currency":"USD","revision":"1"}',
);

function record(i: number): LogRecord {
  const id = `0193aaaa-bbbb-7ccc-8ddd-${String(i).padStart(12, '0')}`;
  return {
    topic: TOPIC,
    key: id,
    value,
    headers: {
      ce_specversion: '1.0',
      ce_id: id,
      ce_type: 'order.created',
      ce_source: '/order',
      ce_time: '2026-01-01T00:00:00.000Z',
      ce_subject: id,
      'content-type': 'application/json',
      traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    },
  };
}

/** Measures event logs, one after the other, each on a server of its own, PostgreSQL durable as in production. About 10 s each. */
export async function logBench(context: RunContext, logs: readonly LogName[]): Promise<PerLog<LogBench>> {
  const done: [LogName, LogBench][] = [];
  for (const name of logs) {
    context.say(`event log: ${name}`);
    await using scope = new AsyncDisposableStack();
    done.push([name, await measured(await addressOf(scope, context, name))]);
  }
  return Object.fromEntries(done);
}

async function addressOf(scope: AsyncDisposableStack, context: RunContext, name: LogName): Promise<string> {
  if (name === 'kafka') return scope.use(await openBroker(context, 'log')).url;
  const options = { dataDir: join(context.root, 'log'), port: await freePort() };
  return scope.use(await startEmbeddedPostgres(options)).url('postgres');
}

async function measured(url: string): Promise<LogBench> {
  const logger = createLogger({ service: 'bench', level: 'warn', destination: 2 });
  await using log = await openLog({ url, logger });
  await using other = await openLog({ url, logger });
  await log.createTopics([{ name: TOPIC, retentionMs: null }]);
  await append(log, 20_000, BATCH);
  const appendPerSecond = await append(log, RECORDS, BATCH);
  const receivePerSecond = await receive(log, RECORDS);
  const appendOnePerSecond = await appendOnes(log, 20_000, 64);
  return {
    appendPerSecond,
    receivePerSecond,
    appendOnePerSecond,
    latencyMs: await latency(log, log, 500),
    remoteLatencyMs: await latency(log, other, 500),
  };
}

async function append(log: EventLog, records: number, batch: number): Promise<number> {
  await using producer = await log.producer();
  const began = performance.now();
  for (let i = 0; i < records; i += batch)
    await producer.append(Array.from({ length: batch }, (_, j) => record(i + j)));
  return rate(records, began);
}

async function appendOnes(log: EventLog, records: number, callers: number): Promise<number> {
  await using producer = await log.producer();
  const began = performance.now();
  let next = 0;
  const call = async () => {
    while (next < records) await producer.append([record(next++)]);
  };
  await Promise.all(Array.from({ length: callers }, call));
  return rate(records, began);
}

async function receive(log: EventLog, records: number): Promise<number> {
  await using consumer = await log.consumer({ group: 'bench', topics: [TOPIC] });
  const signal = AbortSignal.timeout(60_000);
  const began = performance.now();
  let received = 0;
  while (received < records && !signal.aborted) {
    const batch = await consumer.receive(signal);
    received += batch.length;
    const ends = new Map(batch.map((one) => [one.partition, { ...one, offset: one.offset + 1n }]));
    await consumer.commit([...ends.values()]);
  }
  return rate(received, began);
}

async function latency(from: EventLog, to: EventLog, times: number): Promise<{ p50: number; p99: number }> {
  await using producer = await from.producer();
  await using consumer = await to.consumer({ group: `latency-${to === from}`, topics: [TOPIC] });
  const signal = AbortSignal.timeout(60_000);
  for (
    let left = (await to.lag(`latency-${to === from}`, [TOPIC])).reduce(
      (sum, { lag }) => sum + Number(lag),
      0,
    );
    left > 0;
  )
    left -= (await consumer.receive(signal)).length;
  const took: number[] = [];
  for (let i = 0; i < times && !signal.aborted; i++) {
    const began = performance.now();
    const receipt = consumer.receive(signal);
    await producer.append([record(i)]);
    await receipt;
    took.push(performance.now() - began);
  }
  took.sort((a, b) => a - b);
  const at = (share: number) => round(took[Math.floor(took.length * share)] ?? Number.NaN);
  return { p50: at(0.5), p99: at(0.99) };
}

function rate(records: number, began: number): number {
  return Math.round((records / (performance.now() - began)) * 1_000);
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}
