import { expect, test } from 'vitest';
import type { Consumer, ReceivedRecord } from '../../log.ts';
import type { Bench } from '../log-conformance.ts';
import {
  append,
  behind,
  ChildMember,
  eventually,
  keyFor,
  names,
  newTopic,
  receive,
  record,
  shared,
  text,
  unique,
} from './steps.ts';

export function handover(bench: () => Bench): void {
  test('a member that leaves hands over at once', async () => {
    const { log, other, timing } = bench();
    const topic = await newTopic(log, 4);
    const group = unique('group');
    await using stays = await log.consumer({ group, topics: [topic] });
    const leaves = await other.consumer({ group, topics: [topic] });
    await shared([stays, leaves], 4, timing.settleMs);
    await leaves[Symbol.asyncDispose]();
    expect(timing.settleMs).toBeLessThan(timing.sessionMs);
    await shared([stays], 4, timing.settleMs);
    expect(leaves.assignment()).toEqual([]);
  });

  test('what a leaving member received and did not commit comes again', async () => {
    const { log, other } = bench();
    const topic = await newTopic(log, 1);
    const group = unique('group');
    await append(log, [record(topic, 'k', '0'), record(topic, 'k', '1')]);
    const leaves = await log.consumer({ group, topics: [topic] });
    await receive(leaves, 2);
    await leaves.commit([{ topic, partition: 0, offset: 1n }]);
    await leaves[Symbol.asyncDispose]();
    await using next = await other.consumer({ group, topics: [topic] });
    expect((await receive(next, 1)).map(text)).toEqual(['1']);
  });

  test('a member that dies is replaced; what it did not commit comes again, what it committed does not', async () => {
    const { log, address, timing } = bench();
    const topic = await newTopic(log, 2);
    const group = unique('group');
    await append(log, [record(topic, keyFor(0, 2), 'done'), record(topic, keyFor(1, 2), 'done')]);
    await using careful = new ChildMember({ address, group, topics: [topic], commit: true });
    await careful.has(2, timing.sessionMs + 20_000);
    await careful.kill();
    await using careless = new ChildMember({ address, group, topics: [topic], commit: false });
    await append(log, [record(topic, keyFor(0, 2), 'in hand'), record(topic, keyFor(1, 2), 'in hand')]);
    await careless.has(2, timing.sessionMs + 20_000);
    await careless.kill();
    await using heir = await log.consumer({ group, topics: [topic] });
    const records = await receive(heir, 2, timing.sessionMs + timing.settleMs);
    expect(records.map(text)).toEqual(['in hand', 'in hand']);
  }, 120_000);

  test('the death of one member does not stop what the others own', async () => {
    const { log, address, timing } = bench();
    const topic = await newTopic(log, 2);
    const group = unique('group');
    await using child = new ChildMember({ address, group, topics: [topic], commit: true });
    await eventually(20_000, () => expect(child.joined).toBe(true));
    await using stays = await log.consumer({ group, topics: [topic] });
    await eventually(timing.settleMs + timing.handoverMs, () => expect(stays.assignment()).toHaveLength(1));
    await child.kill();
    // All records come, those of the dead member's partition as well, once the session is over.
    await append(log, [record(topic, keyFor(0, 2), 'a'), record(topic, keyFor(1, 2), 'b')]);
    const records = await receive(stays, 2, timing.sessionMs + timing.settleMs);
    expect(records.map(text).sort()).toEqual(['a', 'b']);
    expect(await stays.commit(behind(records))).toEqual([]);
  }, 120_000);

  test('a commit of a member that lost the partition is refused and changes nothing', async () => {
    const { log, other, timing } = bench();
    const topic = await newTopic(log, 2);
    const group = unique('group');
    await append(log, [record(topic, keyFor(0, 2), 'a'), record(topic, keyFor(1, 2), 'b')]);
    await using first = await log.consumer({ group, topics: [topic] });
    const held = await receive(first, 2);
    await using second = await other.consumer({ group, topics: [topic] });
    // It waits for the first to commit, but not for ever.
    await eventually(timing.handoverMs + timing.settleMs, () => expect(second.assignment()).toHaveLength(1));
    const moved = second.assignment();
    await eventually(timing.settleMs, () => expect(first.assignment()).toHaveLength(1));
    expect(moved.some((partition) => first.owns(partition))).toBe(false);
    expect(names(await first.commit(behind(held)))).toEqual(names(moved));
    const lags = await log.lag(group, [topic]);
    expect(lags.map((lag) => ({ lag: lag.lag, moved: second.owns(lag) }))).toEqual(
      expect.arrayContaining([
        { lag: 1n, moved: true },
        { lag: 0n, moved: false },
      ]),
    );
    const again = await receive(second, 1);
    expect(names(again)).toEqual(names(moved));
    expect(await second.commit(behind(again))).toEqual([]);
  }, 120_000);

  test('a member that stood still and does not know that it was replaced commits nothing', async () => {
    const { log, address, timing } = bench();
    const topic = await newTopic(log, 2);
    const group = unique('group');
    await append(log, [record(topic, keyFor(0, 2), 'a'), record(topic, keyFor(1, 2), 'b')]);
    await using sleeper = new ChildMember({ address, group, topics: [topic], commit: false });
    await sleeper.has(2, 20_000);
    sleeper.stop();
    await using heir = await log.consumer({ group, topics: [topic] });
    await receive(heir, 2, timing.sessionMs + timing.settleMs);
    sleeper.goOnAndCommit();
    await eventually(20_000, () => expect(sleeper.refused).toBe(2));
    expect((await log.lag(group, [topic])).map(({ lag }) => lag)).toEqual([1n, 1n]);
  }, 120_000);

  test('work in hand is committed before its partition goes to a new member', async () => {
    const { log, other, timing } = bench();
    const topic = await newTopic(log, 2);
    const group = unique('group');
    await append(log, [record(topic, keyFor(0, 2), 'a'), record(topic, keyFor(1, 2), 'b')]);
    await using first = await log.consumer({ group, topics: [topic] });
    const held = await receive(first, 2);
    const joining = other.consumer({ group, topics: [topic] });
    expect(await first.commit(behind(held))).toEqual([]);
    await using second = await joining;
    await shared([first, second], 2, timing.settleMs);
    await append(log, [record(topic, keyFor(0, 2), 'c'), record(topic, keyFor(1, 2), 'd')]);
    const records = [await receive(first, 1), await receive(second, 1)].flat();
    expect(records.map(text).sort()).toEqual(['c', 'd']);
  });

  test('a slow member keeps its partition and never makes its neighbour wait', async () => {
    const { log, other, timing } = bench();
    const topic = await newTopic(log, 2);
    const group = unique('group');
    await using slow = await log.consumer({ group, topics: [topic] });
    await using quick = await other.consumer({ group, topics: [topic] });
    await shared([slow, quick], 2, timing.settleMs);
    const [own] = slow.assignment();
    const [neighbours] = quick.assignment();
    await append(log, [record(topic, keyFor(own?.partition ?? 0, 2), 'slow')]);
    const held = await receive(slow, 1);
    const until = performance.now() + timing.sessionMs * 1.5;
    while (performance.now() < until) {
      await append(log, [record(topic, keyFor(neighbours?.partition ?? 0, 2), 'quick')]);
      const records = await receive(quick, 1, timing.sessionMs);
      expect(records.map(text)).toEqual(['quick']);
      expect(await quick.commit(behind(records))).toEqual([]);
    }
    expect(await slow.commit(behind(held))).toEqual([]);
  });

  test('the order of each key survives joining, leaving and dying members', async () => {
    const { log, other, address, timing } = bench();
    const topic = await newTopic(log, 6);
    const group = unique('group');
    const keys = Array.from({ length: 20 }, (_, i) => `key-${i}`);
    const rounds = 150;
    const inbox = new Inbox();
    await using permanent = new Worker(await log.consumer({ group, topics: [topic] }), inbox);
    await using producer = await log.producer();
    for (let round = 0; round < rounds; round++) {
      await producer.append(keys.map((key) => record(topic, key, `${round}`)));
      if (round % 30 === 5) {
        const from = round % 60 === 5 ? log : other;
        await using member = new Worker(await from.consumer({ group, topics: [topic] }), inbox);
        await eventually(timing.settleMs * 2, () =>
          expect(member.consumer.assignment().length).toBeGreaterThan(0),
        );
      }
      if (round === 75) {
        // Takes its share, commits nothing, dies.
        await using child = new ChildMember({ address, group, topics: [topic], commit: false });
        await eventually(20_000, () => expect(permanent.consumer.assignment().length).toBeLessThan(6));
        await child.kill();
      }
    }
    await eventually(timing.sessionMs + timing.settleMs + 10_000, async () => {
      expect(inbox.problems).toEqual([]);
      expect(keys.map((key) => inbox.last.get(key))).toEqual(keys.map(() => rounds - 1));
      expect((await log.lag(group, [topic])).map(({ lag }) => lag)).toEqual(new Array(6).fill(0n));
    });
  }, 120_000);

  test('disposing twice, and in any order, is fine', async () => {
    const { log } = bench();
    const topic = await newTopic(log, 1);
    const consumer = await log.consumer({ group: unique('group'), topics: [topic] });
    const producer = await log.producer();
    await Promise.all([
      consumer[Symbol.asyncDispose](),
      consumer[Symbol.asyncDispose](),
      producer[Symbol.asyncDispose](),
    ]);
    await producer[Symbol.asyncDispose]();
    await expect(producer.append([record(topic, 'k', 'v')])).rejects.toThrow();
    await expect(consumer.receive(AbortSignal.timeout(5_000))).rejects.toThrow();
  });
}

/** Knows what was seen of each key: numbers from 0. What comes again is dropped; what is new must be the next one. */
class Inbox {
  readonly last = new Map<string, number>();
  readonly problems: string[] = [];

  take(record: ReceivedRecord): void {
    const key = record.key ?? '';
    const known = this.last.get(key) ?? -1;
    const number = Number(text(record));
    if (number > known + 1) this.problems.push(`${key}: ${number} after ${known}`);
    this.last.set(key, Math.max(known, number));
  }
}

/** Receives, puts into the inbox and commits, until it is disposed. */
class Worker implements AsyncDisposable {
  readonly consumer: Consumer;
  readonly #inbox: Inbox;
  readonly #stop = new AbortController();
  readonly #working: Promise<void>;

  constructor(consumer: Consumer, inbox: Inbox) {
    this.consumer = consumer;
    this.#inbox = inbox;
    this.#working = this.#work();
  }

  async #work(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const records = await this.consumer.receive(this.#stop.signal);
      for (const one of records) this.#inbox.take(one);
      await this.consumer.commit(behind(records));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#working;
    await this.consumer[Symbol.asyncDispose]();
  }
}
