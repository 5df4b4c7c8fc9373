import { expect, test } from 'vitest';
import type { LogRecord, Position } from '../../log.ts';
import { partitionOf } from '../../partition.ts';
import type { Bench } from '../log-conformance.ts';
import { append, newTopic, record, text, unique } from './steps.ts';

export function appending(bench: () => Bench): void {
  test('1,000 concurrent appends take 1,000 offsets without a gap', async () => {
    const { log, other } = bench();
    const topic = await newTopic(log, 3);
    await using stack = new AsyncDisposableStack();
    const producers = await Promise.all([log, log, other, other].map((one) => one.producer()));
    for (const producer of producers) stack.use(producer);
    const positions = await Promise.all(
      Array.from({ length: 1_000 }, (_, i) => producers[i % 4]?.append([record(topic, `key-${i}`, `${i}`)])),
    );
    const taken = positions.flat().map((position) => `${position?.partition}:${position?.offset}`);
    expect(new Set(taken).size).toBe(1_000);
    const ends = await log.bounds(topic);
    expect(ends.reduce((sum, { end }) => sum + Number(end), 0)).toBe(1_000);
    expect(ends.every(({ start }) => start === 0n)).toBe(true);
    for (const { partition, end } of ends) {
      const records = await log.read({ topic, partition, offset: 0n }, 2_000);
      expect(records.map(({ offset }) => offset)).toEqual(
        Array.from({ length: Number(end) }, (_, i) => BigInt(i)),
      );
    }
  });

  test('answers the position of each record, in their order', async () => {
    const { log } = bench();
    const [one, two] = [await newTopic(log, 4), await newTopic(log, 2)];
    const records = Array.from({ length: 100 }, (_, i) =>
      record(i % 3 ? one : two, i % 7 ? `k${i % 10}` : null, `${i}`),
    );
    const positions = await append(log, records);
    expect(positions.map(({ topic }) => topic)).toEqual(records.map(({ topic }) => topic));
    for (const [i, position] of positions.entries()) {
      const [found] = await log.read(position, 1);
      expect(found && text(found)).toBe(`${i}`);
    }
  });

  test("sends a key where Java's producer would", async () => {
    const { log } = bench();
    const topic = await newTopic(log, 6);
    const keys = ['21', 'foobar', 'abc', 'a-little-bit-long-string', 'ключ', '', 'order-1'];
    const positions = await append(
      log,
      keys.map((key) => record(topic, key, key)),
    );
    expect(positions.map(({ partition }) => partition)).toEqual(keys.map((key) => partitionOf(key, 6)));
    // From Kafka's own test vectors, so that the partitioner is not compared with itself only.
    expect(positions[1]?.partition).toBe((-790332482 & 0x7fffffff) % 6);
  });

  test('keeps the order of each key over many appends, large and small', async () => {
    const { log } = bench();
    const topic = await newTopic(log, 3);
    await using producer = await log.producer();
    let next = 0;
    for (const size of [1, 500, 1, 40, 12_000, 2])
      await producer.append(
        Array.from({ length: size }, () => record(topic, `key-${next % 17}`, `${next++}`)),
      );
    const seen = new Map<string | null, number>();
    let count = 0;
    for (const { partition } of await log.bounds(topic))
      for (const found of await log.read({ topic, partition, offset: 0n }, 20_000)) {
        expect(Number(text(found))).toBeGreaterThan(seen.get(found.key) ?? -1);
        seen.set(found.key, Number(text(found)));
        count++;
      }
    expect(count).toBe(next);
  });

  test('keeps keys, values and headers as they are', async () => {
    const { log } = bench();
    const topic = await newTopic(log, 1);
    const every = Uint8Array.from({ length: 256 }, (_, i) => i);
    const records: LogRecord[] = [
      { topic, key: null, value: null, headers: {} },
      { topic, key: 'tombstone', value: null, headers: { ce_id: '1' } },
      { topic, key: 'empty', value: new Uint8Array(), headers: {} },
      { topic, key: '', value: every, headers: { empty: '' } },
      { topic, key: 'ключ 🛒 "quoted" \\ {a,b}', value: Buffer.from('значение'), headers: {} },
      {
        topic,
        key: 'h',
        value: every.subarray(7, 9),
        headers: { 'content-type': 'text/plain', text: 'ü "q" \\ \n 🛒', __proto: 'x' },
      },
      { topic, key: 'large', value: Buffer.alloc(1_000_000, every), headers: { ce_id: 'large' } },
    ];
    const positions = await append(log, records);
    const found = await log.read({ topic, partition: 0, offset: 0n }, 100);
    expect(positions.map(({ offset }) => offset)).toEqual(records.map((_, i) => BigInt(i)));
    for (const [i, { key, value, headers }] of records.entries()) {
      expect(found[i]?.key).toBe(key);
      expect(found[i]?.headers).toEqual(headers);
      expect(found[i]?.value === null).toBe(value === null);
      if (value) expect(Buffer.compare(found[i]?.value ?? Buffer.alloc(0), value)).toBe(0);
    }
  });

  test('dates records as it takes them', async () => {
    const { log } = bench();
    const topic = await newTopic(log, 1);
    const before = Date.now();
    await append(log, [record(topic, 'k', 'v')]);
    const [found] = await log.read({ topic, partition: 0, offset: 0n }, 1);
    // Loosely: the log's clock may be another machine's.
    expect(Math.abs((found?.appendedAt.getTime() ?? 0) - before)).toBeLessThan(60_000);
  });

  test('spreads records without a key and loses none', async () => {
    const { log } = bench();
    const topic = await newTopic(log, 3);
    await using producer = await log.producer();
    const positions: Position[] = [];
    for (let i = 0; i < 30; i++) positions.push(...(await producer.append([record(topic, null, `${i}`)])));
    expect(new Set(positions.map(({ partition }) => partition)).size).toBeGreaterThan(1);
    const ends = await log.bounds(topic);
    expect(ends.reduce((sum, { end }) => sum + Number(end), 0)).toBe(30);
  });

  test('nothing appended is nothing done', async () => {
    expect(await append(bench().log, [])).toEqual([]);
  });

  test("one caller's unknown topic fails that caller only", async () => {
    const { log } = bench();
    const topic = await newTopic(log, 1);
    await using producer = await log.producer();
    const answers = await Promise.allSettled([
      producer.append([record(topic, 'k', '1')]),
      producer.append([record(unique('missing'), 'k', '2')]),
      producer.append([record(topic, 'k', '3')]),
    ]);
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  test('reads on from any offset, at most as many as asked for, and nothing behind the end', async () => {
    const { log, other } = bench();
    const topic = await newTopic(log, 1);
    await append(
      log,
      Array.from({ length: 10 }, (_, i) => record(topic, 'k', `${i}`)),
    );
    const read = async (offset: bigint, limit: number) =>
      (await other.read({ topic, partition: 0, offset }, limit)).map(text);
    expect(await read(0n, 3)).toEqual(['0', '1', '2']);
    expect(await read(7n, 100)).toEqual(['7', '8', '9']);
    expect(await read(10n, 100)).toEqual([]);
    expect(await other.bounds(topic)).toEqual([{ topic, partition: 0, start: 0n, end: 10n }]);
    await expect(other.read({ topic, partition: 1, offset: 0n }, 1)).rejects.toThrow();
  });
}
