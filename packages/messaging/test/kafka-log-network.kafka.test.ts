/** What a network does to a producer and a consumer: answers that are lost, connections that break. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { Code } from '@connectrpc/connect';
import { type Broker, startBroker } from '@tradewind/testing/kafka';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openKafkaLog } from '../kafka-log.ts';
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

const logger = pino({ level: 'silent' });

/** A way to the broker that can swallow its answers. */
class Wire {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  target = 0;
  /** Whether the broker's answers are swallowed, and how many bytes were. */
  mute = false;
  swallowed = 0;
  /** Whether what the broker is asked is swallowed. */
  deaf = false;

  constructor() {
    this.#server = createServer((client) => {
      const broker = connect({ port: this.target, host: '127.0.0.1' });
      for (const socket of [client, broker]) {
        this.#sockets.add(socket);
        socket.setNoDelay(true);
        socket.on('error', () => undefined);
        socket.on('close', () => {
          this.#sockets.delete(socket);
          client.destroy();
          broker.destroy();
        });
      }
      client.on('data', (chunk) => {
        if (!this.deaf) broker.write(chunk);
      });
      broker.on('data', (chunk) => {
        if (this.mute) this.swallowed += chunk.length;
        else client.write(chunk);
      });
    });
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  /** Breaks all connections, and lets answers through again. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.mute = false;
    this.deaf = false;
    this.swallowed = 0;
  }

  close(): void {
    this.#server.close();
    this.cut();
  }
}

const wire = new Wire();
let broker: Broker;

beforeAll(async () => {
  broker = await startBroker({
    advertisedPort: await wire.listen(),
    properties: { 'group.min.session.timeout.ms': '500' },
  });
  wire.target = broker.port;
});
afterAll(async () => {
  wire.close();
  await broker[Symbol.asyncDispose]();
});

const open = () => openKafkaLog({ url: broker.url, logger, answerMs: 1_500, patienceMs: 3_000 });

test('an append whose answer was lost on the way is repeated and lies on the log once', async () => {
  await using log = await open();
  const topic = await newTopic(log, 1);
  await using producer = await log.producer();
  await producer.append([record(topic, 'k', '0')]);
  for (let i = 1; i <= 5; i++) {
    wire.mute = true;
    const appending = producer.append([record(topic, 'k', `${i}`)]);
    await eventually(5_000, () => expect(wire.swallowed).toBeGreaterThan(0));
    wire.cut();
    expect(await appending).toEqual([{ topic, partition: 0, offset: BigInt(i) }]);
  }
  expect((await log.read({ topic, partition: 0, offset: 0n }, 100)).map(text)).toEqual([
    '0',
    '1',
    '2',
    '3',
    '4',
    '5',
  ]);
});

test('what comes after an append that nobody knows the end of is not taken for a repetition of it', async () => {
  await using log = await open();
  const topic = await newTopic(log, 1);
  await using producer = await log.producer();
  await producer.append([record(topic, 'k', 'first')]);
  wire.mute = true;
  await expect(producer.append([record(topic, 'k', 'in doubt')])).rejects.toMatchObject({
    code: Code.Unavailable,
  });
  wire.cut();
  // The same number of records, so under the same numbers it would look just like the one before.
  const [position] = await producer.append([record(topic, 'k', 'another')]);
  const texts = (await log.read({ topic, partition: 0, offset: 0n }, 100)).map(text);
  expect(texts).toEqual(['first', 'in doubt', 'another']);
  expect(position?.offset).toBe(2n);
});

test('a consumer whose connections break goes on, keeps its partitions and loses nothing', async () => {
  await using log = await open();
  const topic = await newTopic(log, 2);
  const group = unique('group');
  await using consumer = await log.consumer({ group, topics: [topic] });
  await eventually(10_000, () => expect(consumer.assignment()).toHaveLength(2));
  const seen: string[] = [];
  for (let i = 0; i < 12; i++) {
    await append(log, [record(topic, `k${i}`, `${i}`)]);
    if (i % 3 === 1) wire.cut();
    const records = await receive(consumer, 1);
    seen.push(...records.map(text));
    if (i % 3 === 2) wire.cut();
    expect(await consumer.commit(behind(records))).toEqual([]);
  }
  expect(seen).toEqual(Array.from({ length: 12 }, (_, i) => `${i}`));
  expect(consumer.assignment()).toHaveLength(2);
  expect((await log.lag(group, [topic])).map(({ lag }) => lag)).toEqual([0n, 0n]);
});

test('a consumer that is not heard for longer than its session is replaced, and what it says then is refused', async () => {
  await using behindProxy = await openKafkaLog({
    url: broker.url,
    logger,
    answerMs: 1_500,
    patienceMs: 3_000,
    sessionMs: 2_000,
  });
  const topic = await newTopic(behindProxy, 1);
  const group = unique('group');
  await using cut = await behindProxy.consumer({ group, topics: [topic] });
  await append(behindProxy, [record(topic, 'k', 'a')]);
  const held = await receive(cut, 1);
  wire.deaf = true;
  await eventually(10_000, () => expect(cut.owns({ topic, partition: 0 })).toBe(false));
  await expect(cut.commit(behind(held))).rejects.toMatchObject({ code: Code.Unavailable });
  wire.cut();
  await using heir = await behindProxy.consumer({ group, topics: [topic] });
  await eventually(20_000, () => expect(cut.assignment().length + heir.assignment().length).toBe(1));
  const owner = heir.assignment().length > 0 ? heir : cut;
  expect((await receive(owner, 1, 20_000)).map(text)).toEqual(['a']);
});

test('a partition that a consumer had to doubt begins again where it was committed, although the group kept it', async () => {
  await using log = await openKafkaLog({
    url: broker.url,
    logger,
    answerMs: 700,
    patienceMs: 3_000,
    sessionMs: 2_000,
  });
  const topic = await newTopic(log, 1);
  const place = { topic, partition: 0 };
  await using consumer = await log.consumer({ group: unique('group'), topics: [topic] });
  await append(log, [record(topic, 'k', 'done'), record(topic, 'k', 'dropped')]);
  await receive(consumer, 2);
  expect(await consumer.commit([{ ...place, offset: 1n }])).toEqual([]);
  // The broker hears that it lives; it does not hear the broker.
  wire.mute = true;
  await eventually(15_000, () => expect(consumer.owns(place)).toBe(false));
  wire.cut();
  expect((await receive(consumer, 1, 20_000)).map(text)).toEqual(['dropped']);
  expect(consumer.owns(place)).toBe(true);
});
