/** What only Kafka has: other people's producers, codecs, limits, transactions, topics that go and come. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Code } from '@connectrpc/connect';
import kafkajs from 'kafkajs';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { COMPRESSIONS, type Compression } from '../kafka-log/codecs.ts';
import { openKafkaLog } from '../kafka-log.ts';
import type { EventLog } from '../log.ts';
import {
  append,
  behind,
  eventually,
  newTopic,
  receive,
  record,
  text,
  unique,
} from './log-conformance/steps.ts';

const url = inject('kafkaUrl');
const logger = pino({ level: 'silent' });
/** Somebody else's client. */
const stranger = new kafkajs.Kafka({
  brokers: [new URL(url).host],
  logLevel: kafkajs.logLevel.NOTHING,
});
const admin = stranger.admin();
let log: EventLog;

beforeAll(async () => {
  await admin.connect();
  log = await openKafkaLog({ url, logger });
});
afterAll(async () => {
  await admin.disconnect();
  await log[Symbol.asyncDispose]();
});

async function configuredTopic(config: Record<string, string>, numPartitions = 1): Promise<string> {
  const topic = unique('topic');
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
  await admin.createTopics({ topics: [{ topic, numPartitions, configEntries }] });
  return topic;
}

const names = Object.keys(COMPRESSIONS) as Compression[];

test.each(names)('%s: Java reads what this writes, and this reads what Java writes', async (compression) => {
  await using own = await openKafkaLog({ url, logger, compression });
  const texts = Array.from({ length: 500 }, (_, i) => `${i} ${'tradewind '.repeat(i % 50)}`);
  // The broker, which is Java's own codecs, decompresses these and compresses them in its way.
  for (const theirs of ['uncompressed', 'gzip', 'snappy', 'lz4', 'zstd']) {
    const topic = await configuredTopic({ 'compression.type': theirs });
    await append(
      own,
      texts.map((one) => record(topic, 'k', one)),
    );
    expect((await log.read({ topic, partition: 0, offset: 0n }, 1_000)).map(text)).toEqual(texts);
  }
});

test('one caller whose record is too large fails alone, and the limit is each topic’s own', async () => {
  const [small, usual] = [await configuredTopic({ 'max.message.bytes': '2000' }), await newTopic(log, 1)];
  await using producer = await log.producer();
  const large = { topic: small, key: 'k', value: Buffer.alloc(3_000), headers: {} };
  const answers = await Promise.allSettled([
    ...Array.from({ length: 20 }, (_, i) => producer.append([record(small, 'k', `${i}`.padEnd(400))])),
    producer.append([record(small, 'k', 'before'), large]),
    producer.append([{ ...large, topic: usual }]),
  ]);
  expect(answers.map(({ status }) => status)).toEqual([
    ...new Array(20).fill('fulfilled'),
    'rejected',
    'fulfilled',
  ]);
  expect(answers[20]).toMatchObject({
    reason: { code: Code.OutOfRange, message: expect.stringContaining(small) },
  });
});

test('a limit that shrank since is heard of', async () => {
  const topic = await configuredTopic({ 'max.message.bytes': '100000' });
  await using producer = await log.producer();
  await producer.append([record(topic, 'k', '0')]);
  await admin.alterConfigs({
    validateOnly: false,
    resources: [
      {
        type: kafkajs.ConfigResourceTypes.TOPIC,
        name: topic,
        configEntries: [{ name: 'max.message.bytes', value: '2000' }],
      },
    ],
  });
  const large = { topic, key: 'k', value: crypto.getRandomValues(new Uint8Array(3_000)), headers: {} };
  const answers = await Promise.allSettled([
    producer.append([record(topic, 'k', '1')]),
    producer.append([large]),
    producer.append([record(topic, 'k', '2')]),
  ]);
  expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(answers[1]).toMatchObject({ reason: { code: Code.OutOfRange } });
});

test('a topic that was deleted is missing, and one of its name that came later is another', async () => {
  const topic = await newTopic(log, 1);
  await using producer = await log.producer();
  for (let i = 0; i < 5; i++) await producer.append([record(topic, 'k', `${i}`)]);
  await admin.deleteTopics({ topics: [topic] });
  await eventually(20_000, () =>
    expect(producer.append([record(topic, 'k', 'gone')])).rejects.toMatchObject({ code: Code.NotFound }),
  );
  await log.createTopics([{ name: topic, partitions: 1, retentionMs: null }]);
  // The broker knows nothing of the numbers that the producer gave before.
  expect(await producer.append([record(topic, 'k', 'new')])).toEqual([{ topic, partition: 0, offset: 0n }]);
});

test('what retention took from under a group is passed over', async () => {
  const topic = await newTopic(log, 1);
  const group = unique('group');
  await append(
    log,
    Array.from({ length: 10 }, (_, i) => record(topic, 'k', `${i}`)),
  );
  {
    await using consumer = await log.consumer({ group, topics: [topic], maxRecords: 2 });
    await consumer.commit(behind(await receive(consumer, 2)));
  }
  // kafkajs's own administrator finds leaders only of topics that it has looked at.
  await admin.fetchTopicOffsets(topic);
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '6' }] });
  expect(await log.bounds(topic)).toEqual([{ topic, partition: 0, start: 6n, end: 10n }]);
  expect((await log.lag(group, [topic]))[0]?.lag).toBe(4n);
  expect((await log.read({ topic, partition: 0, offset: 0n }, 100)).map(text)).toEqual(['6', '7', '8', '9']);
  await using consumer = await log.consumer({ group, topics: [topic] });
  const records = await receive(consumer, 4);
  expect(records.map(text)).toEqual(['6', '7', '8', '9']);
  expect(await consumer.commit(behind(records))).toEqual([]);
});

test('a stranger’s aborted transaction is not seen, and its marks are passed over', async () => {
  const topic = await newTopic(log, 1);
  const producer = stranger.producer({
    transactionalId: unique('transaction'),
    maxInFlightRequests: 1,
    idempotent: true,
  });
  await producer.connect();
  for (const [end, value] of [
    ['commit', 'one'],
    ['abort', 'never'],
    ['commit', 'two'],
    ['abort', 'never'],
  ] as const) {
    const transaction = await producer.transaction();
    await transaction.send({ topic, messages: [{ key: 'k', value, headers: { twice: ['a', 'b'] } }] });
    await (end === 'commit' ? transaction.commit() : transaction.abort());
  }
  await producer.disconnect();
  await append(log, [record(topic, 'k', 'three')]);
  await using consumer = await log.consumer({ group: unique('group'), topics: [topic] });
  const records = await receive(consumer, 3);
  expect(records.map(text)).toEqual(['one', 'two', 'three']);
  expect(records[0]?.headers).toEqual({ twice: 'b' });
  expect((await log.read({ topic, partition: 0, offset: 0n }, 100)).map(text)).toEqual([
    'one',
    'two',
    'three',
  ]);
});

test('a topic that grows is shared anew, and keys keep their order in each of its partitions', async () => {
  const topic = await newTopic(log, 1);
  await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] });
  await using fresh = await openKafkaLog({ url, logger });
  await using consumer = await fresh.consumer({ group: unique('group'), topics: [topic] });
  await eventually(10_000, () => expect(consumer.assignment()).toHaveLength(3));
});

test('a rebalance waits for what a member has in hand, and gives it nothing more meanwhile', async () => {
  await using patient = await openKafkaLog({ url, logger, handoverMs: 20_000 });
  const topic = await newTopic(log, 2);
  const group = unique('group');
  await using first = await patient.consumer({ group, topics: [topic] });
  await append(
    log,
    Array.from({ length: 20 }, (_, i) => record(topic, `k${i}`, `${i}`)),
  );
  const held = await receive(first, 20);
  const joining = log.consumer({ group, topics: [topic] });
  await eventually(10_000, async () =>
    expect((await admin.describeGroups([group])).groups[0]?.state).toBe('PreparingRebalance'),
  );
  // By now it has heard of it: longer than between two signs of life.
  expect(await first.receive(AbortSignal.timeout(1_500))).toEqual([]);
  await append(log, [record(topic, 'k1', 'later')]);
  expect(await first.receive(AbortSignal.timeout(500))).toEqual([]);
  expect(await first.commit(behind(held))).toEqual([]);
  await using second = await joining;
  const either = await Promise.race(
    [receive(first, 1), receive(second, 1)].map((one) => one.catch(() => [])),
  );
  expect(either.map(text)).toEqual(['later']);
});

test('retention and dates are as the contract says', async () => {
  const [kept, week] = [unique('topic'), unique('topic')];
  await log.createTopics([
    { name: kept, retentionMs: null },
    { name: week, retentionMs: 604_800_000 },
  ]);
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [kept, week].map((name) => ({
      type: kafkajs.ConfigResourceTypes.TOPIC,
      name,
      configNames: ['retention.ms', 'message.timestamp.type'],
    })),
  });
  const values = resources.map(({ configEntries }) =>
    configEntries.map(({ configValue }) => configValue).sort(),
  );
  expect(values).toEqual([
    ['-1', 'LogAppendTime'],
    ['604800000', 'LogAppendTime'],
  ]);
  expect(await log.bounds(kept)).toHaveLength(6);
});

test('reading and looking leaves no group behind', async () => {
  const topic = await newTopic(log, 1);
  await append(log, [record(topic, 'k', 'v')]);
  const group = unique('group');
  await log.read({ topic, partition: 0, offset: 0n }, 10);
  await log.lag(group, [topic]);
  await log.bounds(topic);
  const { groups } = await admin.listGroups();
  expect(groups.map(({ groupId }) => groupId)).not.toContain(group);
});

test('a process that is done with the log ends by itself, and says nothing of its own accord', async () => {
  const topic = await newTopic(log, 2);
  const script = `
    const { openKafkaLog } = await import(${JSON.stringify(new URL('../kafka-log.ts', import.meta.url).href)});
    const { pino } = await import('pino');
    const logger = pino({ level: 'info' });
    {
      await using log = await openKafkaLog({ url: ${JSON.stringify(url)}, logger });
      await using producer = await log.producer();
      await using consumer = await log.consumer({ group: ${JSON.stringify(unique('group'))}, topics: [${JSON.stringify(topic)}] });
      await producer.append([{ topic: ${JSON.stringify(topic)}, key: 'k', value: Buffer.from('v'), headers: {} }]);
      const records = await consumer.receive(AbortSignal.timeout(10000));
      if (records.length !== 1) throw new Error('nothing came');
      await consumer.receive(AbortSignal.timeout(600));
    }
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: new URL('..', import.meta.url),
    stdio: 'pipe',
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk));
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
  const [code, signal] = await once(child, 'exit');
  clearTimeout(timer);
  // Among it would be Node's TimeoutNegativeWarning, which kafkajs is good for.
  expect({ code, signal, said }).toEqual({ code: 0, signal: null, said: '' });
});
