import { existsSync, statSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, inject, test } from 'vitest';
import { type Broker, obtainKafka, startBroker } from '../kafka.ts';
import { administering, clientOf, ends, put } from './kafka-clients.ts';

const client = (broker: Broker) => clientOf(`127.0.0.1:${broker.port}`);
const clusterOf = (broker: Broker) =>
  administering(client(broker), async (admin) => (await admin.describeCluster()).clusterId);

test('what was acknowledged survives kill -9, a start on the same port and a stop in order', async () => {
  await using broker = await startBroker();
  const topic = { topic: 'facts', numPartitions: 1, configEntries: [] };
  await administering(client(broker), (admin) => admin.createTopics({ topics: [topic] }));
  const cluster = await clusterOf(broker);
  await put(client(broker), 'facts', 'one');
  const first = broker.pid;
  await broker.kill();
  expect(broker.pid).toBeUndefined();
  expect(await broker.exited).toBe('killed by SIGKILL');
  await expect(put(client(broker), 'facts', 'nobody there')).rejects.toThrow();

  await broker.start();
  expect(broker.pid).not.toBe(first);
  await put(client(broker), 'facts', 'two');
  await broker.stop();
  await broker.start();
  expect(await ends(client(broker), 'facts')).toEqual(['2']);
  expect(await clusterOf(broker)).toBe(cluster);
  expect(broker.url).toBe(`kafka://127.0.0.1:${broker.port}`);
});

test('a broker that is held says nothing, and goes on where it was once released', async () => {
  await using broker = await startBroker();
  broker.hold();
  const impatient = clientOf(`127.0.0.1:${broker.port}`, { requestTimeout: 1_000 });
  await expect(administering(impatient, (admin) => admin.describeCluster())).rejects.toThrow(/timed out/);
  broker.release();
  await expect.poll(() => clusterOf(broker).catch(() => undefined)).toBeTypeOf('string');
  // One that is held can be stopped too.
  broker.hold();
  await broker.stop();
  expect(broker.pid).toBeUndefined();
});

test('clients are told the advertised port, and no topic comes from a misspelt name', async () => {
  const advertisedPort = 9;
  await using broker = await startBroker({ advertisedPort });
  expect(broker.url).toBe('kafka://127.0.0.1:9');
  const told = await administering(client(broker), (admin) => admin.describeCluster()).catch(
    (error: Error) => error.message,
  );
  // The administrator goes on at the address that it was told, where nobody is.
  expect(told).toMatch(/127\.0\.0\.1:9\b/);
  const inside = clientOf(broker.internalAddress);
  await expect(put(inside, 'misspelt', 'x')).rejects.toThrow(/does not host this topic/);
  expect(await administering(inside, (admin) => admin.listTopics())).toEqual([]);
});

test('a port that is taken is named at once, and its broker is left alone', async () => {
  const { port } = new URL(inject('kafkaUrl'));
  await expect(startBroker({ port: Number(port) })).rejects.toThrow(`port ${port} is taken`);
});

test('settings that Kafka refuses come back as its own words, and nothing is left', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'kafka-refused-'));
  try {
    const pids: (number | undefined)[] = [];
    const refused = startBroker({
      dataDir,
      properties: { 'num.io.threads': '-1' },
      onSpawn: ({ pid }) => pids.push(pid),
    });
    await expect(refused).rejects.toThrow(/num\.io\.threads/);
    for (const pid of pids) expect(existsSync(`/proc/${pid}`)).toBe(false);
    // The folder can be used once the setting is right.
    await using broker = await startBroker({ dataDir });
    expect(await readFile(join(dataDir, 'broker.log'), 'utf8')).toMatch(/Kafka Server started/);
    expect(broker.dataDir).toBe(dataDir);
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
});

test('a start is helped by an archive of classes, which is there for the second one', async () => {
  const { classArchive } = await obtainKafka();
  expect(statSync(classArchive).size).toBeGreaterThan(2 ** 20);
});
