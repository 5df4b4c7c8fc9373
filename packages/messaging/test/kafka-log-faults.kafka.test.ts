/** What a Kafka does that dies, hangs and comes back, and what may not be lost by it. Each test has a broker of its own to hurt. */
import { Code } from '@connectrpc/connect';
import { type Broker, startBroker } from '@tradewind/testing/kafka';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openKafkaLog } from '../kafka-log.ts';
import type { Consumer, EventLog } from '../log.ts';
import {
  append,
  behind,
  eventually,
  keyFor,
  newTopic,
  receive,
  record,
  text,
  unique,
} from './log-conformance/steps.ts';

const logger = pino({ level: 'silent' });
let broker: Broker;

beforeAll(async () => {
  broker = await startBroker({ properties: { 'group.min.session.timeout.ms': '500' } });
});
afterAll(() => broker[Symbol.asyncDispose]());

const open = (): Promise<EventLog> =>
  openKafkaLog({ url: broker.url, logger, sessionMs: 6_000, answerMs: 2_000, patienceMs: 3_000 });

/** How long something takes to be refused, in milliseconds. */
async function refusal(work: Promise<unknown>): Promise<number> {
  const began = performance.now();
  await expect(work).rejects.toMatchObject({ code: Code.Unavailable });
  return performance.now() - began;
}

test('a broker that is killed: what was told is there, what was not told is said, and all goes on by itself', async () => {
  await using log = await open();
  const topic = await newTopic(log, 2);
  const group = unique('group');
  await using consumer = await log.consumer({ group, topics: [topic] });
  await using producer = await log.producer();
  await producer.append([record(topic, 'k', 'before')]);
  const first = await receive(consumer, 1);
  expect(await consumer.commit(behind(first))).toEqual([]);

  const waiting = receive(consumer, 1, 60_000);
  await broker.kill();
  expect(await refusal(producer.append([record(topic, 'k', 'away')]))).toBeLessThan(8_000);
  expect(await refusal(log.probe())).toBeLessThan(3_500);
  expect(await refusal(log.bounds(topic))).toBeLessThan(8_000);
  await expect(openKafkaLog({ url: broker.url, logger })).rejects.toMatchObject({ code: Code.Unavailable });

  await broker.start();
  await eventually(20_000, () => log.probe());
  await producer.append([record(topic, 'k', 'after')]);
  const texts = (await waiting).map(text);
  expect(['away', 'after']).toContain(texts[0]);
  expect(await append(log, [record(topic, 'k', 'more')])).toHaveLength(1);
}, 120_000);

test('a producer that repeats what was refused loses nothing and keeps the order of a key, however often the broker dies', async () => {
  await using log = await open();
  const topic = await newTopic(log, 3);
  await using producer = await log.producer();
  const total = 400;
  let sent = 0;
  const sending = (async () => {
    while (sent < total) {
      const some = Array.from({ length: 5 }, (_, i) => record(topic, `key-${(sent + i) % 4}`, `${sent + i}`));
      try {
        await producer.append(some);
        sent += some.length;
      } catch {
        // As the relay does: again.
      }
    }
  })();
  for (const at of [50, 200]) {
    await eventually(60_000, () => expect(sent).toBeGreaterThan(at));
    await broker.kill();
    await broker.start();
  }
  await sending;
  await using consumer = await log.consumer({ group: unique('group'), topics: [topic] });
  const seen = new Map<string | null, number>();
  const all = new Set<number>();
  const signal = AbortSignal.timeout(30_000);
  while (all.size < total) {
    const records = await consumer.receive(signal);
    expect(records.length, `${all.size} of ${total}`).toBeGreaterThan(0);
    for (const one of records) {
      const number = Number(text(one));
      // A repetition may come again; what is new must come in order.
      if (!all.has(number)) expect(number).toBeGreaterThan(seen.get(one.key) ?? -1);
      seen.set(one.key, Math.max(number, seen.get(one.key) ?? -1));
      all.add(number);
    }
  }
}, 180_000);

test('a broker that says nothing: everything is refused in time, a consumer does not trust its partitions, and goes on afterwards', async () => {
  await using log = await open();
  const topic = await newTopic(log, 2);
  const group = unique('group');
  await using consumer = await log.consumer({ group, topics: [topic] });
  await using producer = await log.producer();
  await producer.append([record(topic, keyFor(0, 2), 'a'), record(topic, keyFor(1, 2), 'b')]);
  const held = await receive(consumer, 2);
  broker.hold();
  try {
    const appended = refusal(producer.append([record(topic, 'k', 'held')]));
    expect(await refusal(log.probe())).toBeLessThan(3_500);
    expect(await appended).toBeLessThan(8_000);
    expect(await refusal(consumer.commit(behind(held)))).toBeLessThan(10_000);
    await eventually(15_000, () => expect(consumer.owns({ topic, partition: 0 })).toBe(false));
    expect(await consumer.receive(AbortSignal.timeout(200))).toEqual([]);
  } finally {
    broker.release();
  }
  // What it was told to be in doubt of comes again.
  const again = await receive(consumer, 1, 30_000);
  expect(again.length).toBeGreaterThan(0);
  await eventually(20_000, async () => {
    again.push(...(await consumer.receive(AbortSignal.timeout(100))));
    // What it did not come to doubt does not come again, and its commit was refused.
    await consumer.commit(behind([...held, ...again]));
    expect((await log.lag(group, [topic])).map(({ lag }) => lag)).toEqual([0n, 0n]);
  });
}, 120_000);

test('while the broker is away a consumer that is disposed does not wait for it', async () => {
  const log = await open();
  const topic = await newTopic(log, 1);
  const consumer: Consumer = await log.consumer({ group: unique('group'), topics: [topic] });
  const receiving = consumer.receive(new AbortController().signal);
  receiving.catch(() => undefined);
  broker.hold();
  try {
    const began = performance.now();
    await log[Symbol.asyncDispose]();
    expect(performance.now() - began).toBeLessThan(8_000);
    await expect(receiving).rejects.toThrow('closed');
  } finally {
    broker.release();
  }
}, 60_000);
