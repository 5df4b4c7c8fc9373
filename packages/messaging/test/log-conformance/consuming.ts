import { expect, test } from 'vitest';
import type { Bench } from '../log-conformance.ts';
import { append, behind, keyFor, newTopic, receive, record, shared, text, unique } from './steps.ts';

export function consuming(bench: () => Bench): void {
  test('begins with the earliest record and goes on behind what it received, committed or not', async () => {
    const { log } = bench();
    const topic = await newTopic(log, 1);
    await append(
      log,
      Array.from({ length: 25 }, (_, i) => record(topic, 'k', `${i}`)),
    );
    await using consumer = await log.consumer({ group: unique('group'), topics: [topic], maxRecords: 10 });
    const records = await receive(consumer, 25);
    expect(records.map(text)).toEqual(Array.from({ length: 25 }, (_, i) => `${i}`));
    expect(records[0]).toMatchObject({ topic, partition: 0, offset: 0n, key: 'k', headers: {} });
  });

  test('is woken by an append from anywhere', async () => {
    const { log, other } = bench();
    const topic = await newTopic(log, 2);
    await using consumer = await log.consumer({ group: unique('group'), topics: [topic] });
    await shared([consumer], 2, bench().timing.settleMs);
    for (const from of [log, other, log, other]) {
      const received = receive(consumer, 1);
      await append(from, [record(topic, 'k', 'wake')]);
      expect(await received).toHaveLength(1);
    }
  });

  test('gives at most `maxRecords`, in offset order within each partition', async () => {
    const { log } = bench();
    const topic = await newTopic(log, 3);
    await append(
      log,
      Array.from({ length: 100 }, (_, i) => record(topic, `k${i}`, `${i}`)),
    );
    await using consumer = await log.consumer({ group: unique('group'), topics: [topic], maxRecords: 7 });
    const signal = AbortSignal.timeout(10_000);
    const next = new Map<number, bigint>();
    for (let count = 0; count < 100; ) {
      const records = await consumer.receive(signal);
      expect(records.length).toBeGreaterThan(0);
      expect(records.length).toBeLessThanOrEqual(7);
      for (const { partition, offset } of records) {
        expect(offset).toBe(next.get(partition) ?? 0n);
        next.set(partition, offset + 1n);
      }
      count += records.length;
    }
  });

  test('does not let a busy partition starve the others', async () => {
    const { log } = bench();
    const topic = await newTopic(log, 3);
    const busy = keyFor(0, 3);
    await append(
      log,
      Array.from({ length: 5_000 }, (_, i) => record(topic, busy, `${i}`)),
    );
    await using consumer = await log.consumer({ group: unique('group'), topics: [topic], maxRecords: 100 });
    await receive(consumer, 1);
    await append(log, [record(topic, keyFor(1, 3), 'a'), record(topic, keyFor(2, 3), 'b')]);
    const records = await receive(consumer, 2_000);
    expect(new Set(records.map(({ partition }) => partition))).toEqual(new Set([0, 1, 2]));
  });

  test('resolves with nothing when its signal aborts, and loses nothing by it', async () => {
    const { log } = bench();
    const topic = await newTopic(log, 1);
    await using consumer = await log.consumer({ group: unique('group'), topics: [topic] });
    expect(await consumer.receive(AbortSignal.abort())).toEqual([]);
    const stop = new AbortController();
    const waiting = consumer.receive(stop.signal);
    stop.abort();
    expect(await waiting).toEqual([]);
    for (let i = 0; i < 20; i++) {
      const abort = new AbortController();
      const racing = consumer.receive(abort.signal);
      const appended = append(log, [record(topic, 'k', `${i}`)]);
      if (i % 2) await appended;
      abort.abort();
      const records = await racing;
      await appended;
      expect((records.length > 0 ? records : await receive(consumer, 1)).map(text)).toEqual([`${i}`]);
    }
  });

  test('gets nothing of a paused partition until it is resumed, and keeps it', async () => {
    const { log, timing } = bench();
    const topic = await newTopic(log, 2);
    const [one, two] = [keyFor(0, 2), keyFor(1, 2)];
    await using consumer = await log.consumer({ group: unique('group'), topics: [topic], maxRecords: 10 });
    await shared([consumer], 2, timing.settleMs);
    const paused = { topic, partition: 0 };
    consumer.pause([paused]);
    await append(log, [
      ...Array.from({ length: 20 }, () => record(topic, one, 'held')),
      record(topic, two, 'flows'),
    ]);
    expect((await receive(consumer, 1)).map(text)).toEqual(['flows']);
    // Longer than a session, with the other partition flowing all the time.
    const until = performance.now() + timing.sessionMs * 1.5;
    while (performance.now() < until) {
      await append(log, [record(topic, two, 'flows')]);
      expect((await receive(consumer, 1)).map(text)).toEqual(['flows']);
    }
    expect(consumer.owns(paused)).toBe(true);
    consumer.resume([paused]);
    expect((await receive(consumer, 20)).map(text)).toEqual(new Array(20).fill('held'));
  });

  test('is not fetched for while nobody receives, and keeps its place', async () => {
    const { log, timing } = bench();
    const topic = await newTopic(log, 1);
    const group = unique('group');
    await using consumer = await log.consumer({ group, topics: [topic], maxRecords: 1 });
    await append(log, [record(topic, 'k', '0'), record(topic, 'k', '1')]);
    await receive(consumer, 1);
    const until = performance.now() + timing.sessionMs * 1.5;
    // Something to wait for that is not the consumer.
    while (performance.now() < until) await log.bounds(topic);
    expect(consumer.owns({ topic, partition: 0 })).toBe(true);
    const next = await receive(consumer, 1);
    expect(next.map(text)).toEqual(['1']);
    expect(await consumer.commit(behind(next))).toEqual([]);
  });

  test('reads values larger than any buffer, one after the other', async () => {
    const { log } = bench();
    const topic = await newTopic(log, 1);
    for (let i = 0; i < 30; i++)
      await append(log, [{ topic, key: 'k', value: Buffer.alloc(900_000, i), headers: {} }]);
    await using consumer = await log.consumer({ group: unique('group'), topics: [topic] });
    const records = await receive(consumer, 30);
    expect(records.map(({ value }) => value?.[899_999])).toEqual(Array.from({ length: 30 }, (_, i) => i));
  });
}
