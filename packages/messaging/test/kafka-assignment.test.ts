import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  assign,
  decodeAssignment,
  decodeJoining,
  encodeAssignment,
  encodeJoining,
  type Joining,
} from '../kafka-log/assignment.ts';
import { cutRound, type Outgoing } from '../kafka-log/rounds.ts';

const member = (memberId: string, topics: readonly string[]): Joining => ({
  memberId,
  topics,
  generation: -1,
  owned: [],
});

test('shares evenly, each topic and all together, and moves no more than it must', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 5 }),
      fc.array(fc.constantFrom('come', 'go'), { maxLength: 6 }),
      (count, sizes, changes) => {
        const partitions = new Map(sizes.map((size, i) => [`topic-${i}`, size]));
        const topics = [...partitions.keys()];
        let members = Array.from({ length: count }, (_, i) => member(`m${i}`, topics));
        let next = count;
        for (const [generation, change] of ['start', ...changes].entries()) {
          if (change === 'come') members.push(member(`m${next++}`, topics));
          if (change === 'go' && members.length > 1) members = members.slice(1);
          const assigned = assign(members, partitions);
          const all = [...assigned.values()].flat().map(({ topic, partition }) => `${topic}/${partition}`);
          expect(new Set(all).size).toBe(all.length);
          expect(all.length).toBe(sizes.reduce((sum, size) => sum + size, 0));
          const sum = [...assigned.values()].map((one) => one.length);
          expect(Math.max(...sum) - Math.min(...sum)).toBeLessThanOrEqual(1);
          for (const topic of topics) {
            const of = [...assigned.values()].map(
              (one) => one.filter((place) => place.topic === topic).length,
            );
            expect(Math.max(...of) - Math.min(...of)).toBeLessThanOrEqual(1);
          }
          if (change === 'start') expect(assign(members, partitions)).toEqual(assigned);
          members = members.map((one) => ({ ...one, generation, owned: assigned.get(one.memberId) ?? [] }));
          // Nobody came or went: nothing moves.
          const again = assign(members, partitions);
          for (const [memberId, owned] of assigned)
            expect(new Set(again.get(memberId))).toEqual(new Set(owned));
        }
      },
    ),
  );
});

test('of two who say that they own a partition, the one of the later generation keeps it', () => {
  const owned = [0, 1].map((partition) => ({ topic: 't', partition }));
  const old = { ...member('a', ['t']), generation: 3, owned };
  const current = { ...member('b', ['t']), generation: 7, owned: owned.slice(0, 1) };
  expect(assign([old, current], new Map([['t', 2]])).get('b')).toEqual([{ topic: 't', partition: 0 }]);
});

test('only who asked for a topic gets of it', () => {
  const assigned = assign(
    [member('a', ['t']), member('b', ['u'])],
    new Map([
      ['t', 3],
      ['u', 1],
      ['v', 2],
    ]),
  );
  expect(assigned.get('a')).toHaveLength(3);
  expect(assigned.get('b')).toEqual([{ topic: 'u', partition: 0 }]);
});

test('what members say and hear survives the way', () => {
  const owned = [
    { topic: 'a', partition: 3 },
    { topic: 'a', partition: 1 },
    { topic: 'b', partition: 0 },
  ];
  expect(decodeJoining('m', encodeJoining({ topics: ['b', 'a'], generation: 4, owned }))).toEqual({
    memberId: 'm',
    topics: ['a', 'b'],
    generation: 4,
    owned,
  });
  expect(decodeAssignment(encodeAssignment(owned))).toEqual(owned);
  expect(decodeAssignment(Buffer.alloc(0))).toEqual([]);
});

test('rounds keep the order of each partition and no limit is passed, except by a single record', () => {
  const sizes = fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 1, max: 60 })), {
    maxLength: 40,
  });
  fc.assert(
    fc.property(sizes, (given) => {
      const records: Outgoing<null>[] = given.map(([partition, size], nth) => ({
        topic: 't',
        partition,
        message: { key: null, value: null, headers: {} },
        size,
        caller: null,
        nth,
      }));
      const sent: Outgoing<null>[] = [];
      for (let left: readonly Outgoing<null>[] = records; left.length > 0; ) {
        const { batches, rest } = cutRound(left, { requestBytes: 100, batchBytes: () => 50 });
        const bytes = batches.flatMap((batch) => batch.records).reduce((sum, { size }) => sum + size, 0);
        for (const batch of batches) {
          expect(batch.records.length === 1 || batch.bytes <= 50).toBe(true);
          sent.push(...batch.records);
        }
        expect(bytes <= 100).toBe(true);
        expect(rest.length).toBeLessThan(left.length);
        left = rest;
      }
      expect(sent.map(({ nth }) => nth).sort((a, b) => a - b)).toEqual(records.map(({ nth }) => nth));
      for (const partition of [0, 1, 2, 3]) {
        const order = sent.filter((one) => one.partition === partition).map(({ nth }) => nth);
        expect(order).toEqual([...order].sort((a, b) => a - b));
      }
    }),
  );
});
