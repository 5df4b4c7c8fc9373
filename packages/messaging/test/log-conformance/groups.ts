import { expect, test } from 'vitest';
import type { Bench } from '../log-conformance.ts';
import { append, behind, newTopic, receive, record, shared, text, unique } from './steps.ts';

const ten = (topic: string) => Array.from({ length: 10 }, (_, i) => record(topic, 'k', `${i}`));

export function groups(bench: () => Bench): void {
  test('know nothing of each other', async () => {
    const { log, other } = bench();
    const topic = await newTopic(log, 2);
    await append(log, ten(topic));
    await using one = await log.consumer({ group: unique('group'), topics: [topic] });
    await using two = await other.consumer({ group: unique('group'), topics: [topic] });
    expect((await receive(one, 10)).map(text)).toEqual((await receive(two, 10)).map(text));
  });

  test('go on where they committed, not where they received', async () => {
    const { log, other } = bench();
    const topic = await newTopic(log, 1);
    const group = unique('group');
    await append(log, ten(topic));
    {
      await using first = await log.consumer({ group, topics: [topic] });
      await receive(first, 10);
      expect(await first.commit([{ topic, partition: 0, offset: 4n }])).toEqual([]);
    }
    {
      await using second = await other.consumer({ group, topics: [topic] });
      const records = await receive(second, 6);
      expect(records.map(text)).toEqual(['4', '5', '6', '7', '8', '9']);
      expect(await second.commit(behind(records))).toEqual([]);
    }
    await using third = await log.consumer({ group, topics: [topic] });
    await append(log, [record(topic, 'k', 'new')]);
    expect((await receive(third, 1)).map(text)).toEqual(['new']);
  });

  test('commit several partitions of several topics at once', async () => {
    const { log } = bench();
    const topics = [await newTopic(log, 3), await newTopic(log, 2)];
    const group = unique('group');
    await append(
      log,
      Array.from({ length: 60 }, (_, i) => record(topics[i % 2] ?? '', `k${i}`, `${i}`)),
    );
    await using consumer = await log.consumer({ group, topics });
    expect(await consumer.commit(behind(await receive(consumer, 60)))).toEqual([]);
    expect(await consumer.commit([])).toEqual([]);
    const lags = await log.lag(group, topics);
    expect(lags).toHaveLength(5);
    expect(lags.every(({ lag, committed, end }) => lag === 0n && committed === end)).toBe(true);
  });

  test('know how far they are behind, also before they ever committed', async () => {
    const { log, other } = bench();
    const topic = await newTopic(log, 1);
    const group = unique('group');
    expect(await other.lag(group, [topic])).toEqual([
      { topic, partition: 0, committed: 0n, end: 0n, lag: 0n },
    ]);
    await append(log, ten(topic));
    expect(await other.lag(group, [topic])).toEqual([
      { topic, partition: 0, committed: 0n, end: 10n, lag: 10n },
    ]);
    await using consumer = await log.consumer({ group, topics: [topic] });
    await receive(consumer, 10);
    await consumer.commit([{ topic, partition: 0, offset: 7n }]);
    expect(await other.lag(group, [topic])).toEqual([
      { topic, partition: 0, committed: 7n, end: 10n, lag: 3n },
    ]);
  });

  test('can be rewound to read everything again, but not while members live', async () => {
    const { log, other, timing } = bench();
    const [topic, untouched] = [await newTopic(log, 1), await newTopic(log, 1)];
    const group = unique('group');
    await append(log, [...ten(topic), ...ten(untouched)]);
    {
      await using consumer = await log.consumer({ group, topics: [topic, untouched] });
      await consumer.commit(behind(await receive(consumer, 20)));
      await expect(other.rewind(group, [topic])).rejects.toThrow();
      await append(log, [record(topic, 'k', 'still in place')]);
      expect((await receive(consumer, 1)).map(text)).toEqual(['still in place']);
    }
    await other.rewind(group, [topic]);
    expect((await log.lag(group, [topic, untouched])).map(({ lag }) => lag).sort()).toEqual([0n, 11n]);
    await using again = await log.consumer({ group, topics: [topic, untouched] });
    await shared([again], 2, timing.settleMs);
    expect((await receive(again, 11)).map(text)).toEqual([...ten(topic).map(text), 'still in place']);
  });

  test('that were never there can be rewound too', async () => {
    const { log } = bench();
    const topic = await newTopic(log, 1);
    await expect(log.rewind(unique('group'), [topic])).resolves.toBeUndefined();
  });

  test('share the partitions of every topic among their members', async () => {
    const { log, other, timing } = bench();
    const topics = [await newTopic(log, 4), await newTopic(log, 4)];
    const group = unique('group');
    await using one = await log.consumer({ group, topics });
    await shared([one], 8, timing.settleMs);
    await using two = await other.consumer({ group, topics });
    await shared([one, two], 8, timing.settleMs);
    for (const member of [one, two])
      for (const topic of topics)
        expect(member.assignment().filter((owned) => owned.topic === topic)).toHaveLength(2);
    await append(
      log,
      Array.from({ length: 200 }, (_, i) => record(topics[i % 2] ?? '', `k${i}`, `${i}`)),
    );
    const lags = await log.lag(group, topics);
    const of = async (member: typeof one) => {
      const expected = lags.filter((lag) => member.owns(lag)).reduce((sum, { lag }) => sum + Number(lag), 0);
      return (await receive(member, expected)).map(text);
    };
    const [a, b] = await Promise.all([of(one), of(two)]);
    expect(new Set([...a, ...b]).size).toBe(200);
    expect(a.length + b.length).toBe(200);
  });

  test('may have more members than partitions', async () => {
    const { log, other, timing } = bench();
    const topic = await newTopic(log, 2);
    const group = unique('group');
    await using stack = new AsyncDisposableStack();
    const members = await Promise.all(
      [log, other, log].map(async (one) => stack.use(await one.consumer({ group, topics: [topic] }))),
    );
    await shared(members, 2, timing.settleMs * 2);
  });
}
