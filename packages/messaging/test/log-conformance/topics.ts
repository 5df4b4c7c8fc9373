import { expect, test } from 'vitest';
import type { Bench } from '../log-conformance.ts';
import { append, newTopic, record, unique } from './steps.ts';

export function topics(bench: () => Bench): void {
  test('are made once, however often and by however many they are created', async () => {
    const { log, other } = bench();
    const specs = Array.from({ length: 5 }, () => ({
      name: unique('topic'),
      partitions: 3,
      retentionMs: null,
    }));
    const answers = await Promise.all([
      log.createTopics(specs),
      other.createTopics([...specs].reverse()),
      log.createTopics(specs),
    ]);
    expect(answers).toEqual([[], [], []]);
    const [first] = specs;
    const [position] = await append(log, [record(first?.name ?? '', 'k', 'kept')]);
    expect(await other.createTopics(specs)).toEqual([]);
    expect(position && (await other.read(position, 10))).toHaveLength(1);
    expect(await other.bounds(first?.name ?? '')).toHaveLength(3);
  });

  test('never change their partitions; a difference is reported', async () => {
    const { log, other } = bench();
    const name = await newTopic(log, 2);
    expect(await other.createTopics([{ name, partitions: 5, retentionMs: null }])).toEqual([
      { topic: name, wanted: 5, found: 2 },
    ]);
    expect(await log.bounds(name)).toHaveLength(2);
    // Who does not say how many has no wish that could differ.
    expect(await log.createTopics([{ name, retentionMs: null }])).toEqual([]);
  });

  test('that are not there are an error for everybody', async () => {
    const { log } = bench();
    const topic = unique('missing');
    await expect(append(log, [record(topic, 'k', 'v')])).rejects.toThrow(topic);
    await expect(log.consumer({ group: unique('group'), topics: [topic] })).rejects.toThrow(topic);
    await expect(log.lag('group', [topic])).rejects.toThrow(topic);
    await expect(log.rewind('group', [topic])).rejects.toThrow(topic);
    await expect(log.bounds(topic)).rejects.toThrow(topic);
    await expect(log.read({ topic, partition: 0, offset: 0n }, 1)).rejects.toThrow(topic);
  });

  test('can be created after somebody missed them', async () => {
    const { log } = bench();
    const name = unique('late');
    await using producer = await log.producer();
    await expect(producer.append([record(name, 'k', 'v')])).rejects.toThrow(name);
    await log.createTopics([{ name, partitions: 1, retentionMs: null }]);
    expect(await producer.append([record(name, 'k', 'v')])).toEqual([
      { topic: name, partition: 0, offset: 0n },
    ]);
  });

  test('one log has one id, two openings of it the same', () => {
    const { log, other } = bench();
    expect(log.id).not.toBe('');
    expect(other.id).toBe(log.id);
  });

  test('a log that is there can be probed', async () => {
    await expect(bench().log.probe()).resolves.toBeUndefined();
  });
}
