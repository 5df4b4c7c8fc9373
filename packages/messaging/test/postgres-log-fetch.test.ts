import fc from 'fast-check';
import { expect, test } from 'vitest';
import { requests } from '../postgres-log/fetch.ts';
import { Holding, type LeaseRow } from '../postgres-log/holding.ts';

const topic = { id: 7, name: 'topic', partitions: 8 };
const rows = (partitions: number, share = partitions, generation = '1'): LeaseRow[] =>
  Array.from(
    { length: partitions },
    (_, partition) => [topic.id, partition, generation, '0', share] as const,
  );

function holdingOf(partitions: number, share = partitions): Holding {
  const holding = new Holding([topic]);
  holding.update(rows(partitions, share));
  return holding;
}

test('a receive is shared fairly: everybody asked gets the same, within one record, and together no more than allowed', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 2_000 }),
      fc.nat(1_000),
      (count, max, turn) => {
        const asked = requests([...holdingOf(count).all()], max, turn);
        const limits = asked.map(({ limit }) => limit);
        expect(asked).toHaveLength(Math.min(count, max));
        expect(new Set(asked.map(({ held }) => held.key)).size).toBe(asked.length);
        expect(limits.reduce((sum, limit) => sum + limit, 0)).toBe(max);
        expect(Math.max(...limits) - Math.min(...limits)).toBeLessThanOrEqual(1);
        expect(Math.min(...limits)).toBeGreaterThan(0);
      },
    ),
  );
});

test('with more partitions than records, each gets its turn', () => {
  const due = [...holdingOf(8).all()];
  const asked = new Set<string>();
  for (let turn = 0; turn < 8; turn++) for (const { held } of requests(due, 3, turn)) asked.add(held.key);
  expect(asked.size).toBe(8);
});

test('a lease of a new generation begins where the group is, whatever was received before', () => {
  const holding = holdingOf(1);
  const [before] = holding.all();
  if (before) before.position = 10n;
  expect(holding.update(rows(1))).toEqual({ gained: [], lost: [] });
  expect(before && holding.has(before)).toBe(true);
  const { gained, lost } = holding.update([[topic.id, 0, '2', '4', 1]]);
  expect(lost).toEqual([before]);
  expect(gained[0]).toMatchObject({ partition: 0, position: 4n, settled: 4n });
  expect(before && holding.has(before)).toBe(false);
});

test('what nobody works on is given away first, the rest when it is committed or time is over', () => {
  const holding = holdingOf(4, 2);
  for (const held of holding.all()) if (held.partition !== 1) held.position = 5n;
  holding.balance(rows(4, 2), 1_000);
  expect(holding.ready(0).map(({ partition }) => partition)).toEqual([1]);
  const leaving = [...holding.all()].filter(({ leavesBy }) => leavesBy !== undefined);
  expect(leaving.map(({ partition }) => partition).sort()).toEqual([1, 3]);
  for (const held of leaving) held.settled = 5n;
  expect(holding.ready(0)).toHaveLength(2);
  for (const held of leaving) held.settled = 0n;
  expect(holding.ready(1_000)).toHaveLength(2);
  // The others left meanwhile: nothing has to go.
  holding.balance(rows(4, 4), 2_000);
  expect(holding.ready(5_000)).toEqual([]);
});
