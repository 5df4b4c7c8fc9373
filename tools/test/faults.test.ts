import { describe, expect, test } from 'vitest';
import { parseFaults } from '../faults/command-line.ts';
import { judgeLedger, type LedgerRows } from '../faults/ledger.ts';
import { judgeLetters } from '../faults/letters.ts';
import { type FaultRecord, reportOf } from '../faults/report.ts';
import { ROGUE } from '../faults/rogue.ts';
import { kindNames, schedule } from '../faults/schedule.ts';
import { Told } from '../faults/told.ts';
import { UsageError } from '../load/command-line.ts';

describe('the schedule', () => {
  const first = (count: number, options: Parameters<typeof schedule>[0]) => {
    const faults = schedule(options);
    return Array.from({ length: count }, () => faults.next().value);
  };

  test('is the same for the same seed, and another one for another', () => {
    expect(first(100, { seed: 5, log: 'kafka' })).toEqual(first(100, { seed: 5, log: 'kafka' }));
    expect(first(100, { seed: 5, log: 'kafka' })).not.toEqual(first(100, { seed: 6, log: 'kafka' }));
  });

  test('every kind comes in every pass; without a broker those that need one do not', () => {
    const all = first(70, { seed: 1, log: 'kafka' }).map(({ kind }) => kind);
    expect(new Set(all)).toEqual(new Set(kindNames));
    const some = first(200, { seed: 1, log: 'postgres' }).map(({ kind }) => kind);
    expect(new Set(some)).toEqual(new Set(kindNames.filter((kind) => !kind.endsWith('-broker'))));
  });

  test('only the kinds that were asked for', () => {
    const only = first(20, { seed: 1, log: 'postgres', kinds: ['reset', 'kill'] });
    expect(new Set(only.map(({ kind }) => kind))).toEqual(new Set(['reset', 'kill']));
    expect(() => first(1, { seed: 1, log: 'postgres', kinds: ['kill-broker'] })).toThrow('kill-broker');
  });
});

test('the command line', () => {
  const { faults, minutes } = optionsOf([]);
  expect([faults, minutes]).toEqual([200, Number.POSITIVE_INFINITY]);
  expect(optionsOf(['--minutes', '8'])).toMatchObject({ faults: Number.POSITIVE_INFINITY, minutes: 8 });
  expect(
    optionsOf(['--faults', '3', '--seed', '9', '--log', 'postgres', '--kinds', 'reset, kill']),
  ).toMatchObject({ faults: 3, seed: 9, log: 'postgres', kinds: ['reset', 'kill'] });
  expect(parseFaults(['--help'])).toBe('help');
  for (const wrong of [
    ['--faults', '0'],
    ['--minutes', 'x'],
    ['--log', 'rabbit'],
    ['--kinds', 'kill,nobody'],
    ['--kind', 'kill'],
  ])
    expect(() => parseFaults(wrong), wrong.join(' ')).toThrow(UsageError);
});

function optionsOf(argv: readonly string[]) {
  const command = parseFaults(argv);
  if (command === 'help') throw new Error('it only wants to help');
  return command.options;
}

describe('dead letters', () => {
  const letter = { topic: 'order.created.dlq', key: 'a', reason: 'undecodable', group: 'stock' };
  const found = { ...letter, error: 'no JSON' };

  test('just those that were made, one of them twice on the log', () => {
    expect(judgeLetters([letter], [found, found])).toEqual([]);
  });

  test('one that is missing, one too many, one with another reason', () => {
    expect(judgeLetters([letter], [])).toEqual([expect.stringContaining('no dead letter')]);
    expect(judgeLetters([], [found])).toEqual([expect.stringContaining('nobody expected')]);
    expect(judgeLetters([letter], [{ ...found, reason: 'deadly' }])).toHaveLength(2);
    expect(judgeLetters([letter], [{ ...found, group: 'order' }])).toHaveLength(2);
  });
});

describe('the books', () => {
  const books: LedgerRows = {
    orders: [
      { id: 'taken', status: 'CONFIRMED', reason: '' },
      { id: 'short', status: 'CANCELED', reason: 'product 1: asked 3, only 2 left' },
      { id: 'given-back', status: 'CANCELED', reason: 'canceled by the customer' },
    ],
    reservations: [
      { order_id: 'taken', outcome: 'reserved' },
      { order_id: 'short', outcome: 'exceeded' },
      { order_id: 'given-back', outcome: 'released' },
      { order_id: 'unknown', outcome: 'released' },
    ],
    products: [{ product_id: 1, quantity: '8', put_in: '10', moved: '8', adjusted: '10' }],
  };
  const judge = (wrong: Partial<LedgerRows>, putIn = 10) =>
    judgeLedger({ ...books, ...wrong }, new Set(['given-back']), new Map([[1, putIn]]));

  test('are in order', () => {
    expect(judge({})).toEqual([]);
  });

  test.each<[string, Partial<LedgerRows>, string]>([
    [
      'a confirmed order without goods',
      { reservations: books.reservations.slice(1) },
      'stock has it as nothing',
    ],
    [
      'an order that never settled',
      { orders: [{ id: 'taken', status: 'PENDING', reason: '' }, ...books.orders.slice(1)] },
      'taken is PENDING',
    ],
    [
      'goods that did not go back',
      { reservations: [...books.reservations.slice(0, 2), { order_id: 'given-back', outcome: 'reserved' }] },
      'given-back is CANCELED',
    ],
    [
      'goods held for nobody',
      { reservations: [...books.reservations, { order_id: 'nobody', outcome: 'reserved' }] },
      'nobody, which is no order',
    ],
    [
      'a cancellation that was answered and lost',
      { orders: [{ id: 'given-back', status: 'CONFIRMED', reason: '' }] },
      'answered as cancelled',
    ],
    [
      'goods that were taken twice',
      { products: [{ product_id: 1, quantity: '6', put_in: '10', moved: '8', adjusted: '10' }] },
      'movements add up to 8',
    ],
    [
      'goods that were put in twice',
      { products: [{ product_id: 1, quantity: '18', put_in: '20', moved: '18', adjusted: '20' }] },
      '10 were answered',
    ],
  ])('%s', (_, wrong, finding) => {
    expect(judge(wrong).join('\n')).toContain(finding);
  });
});

test('a report counts what hit open orders, and how long it took to recover from it', () => {
  const fault = (counts: boolean, recoveryMs: number): FaultRecord => ({
    kind: counts ? 'kill' : 'reset',
    seed: 1,
    target: 'order serve',
    at: '2026-01-01T00:00:00.000Z',
    open: counts ? 20 : 2,
    counts,
    harmMs: 0,
    recoveryMs,
  });
  const figures = { audits: 1, accepted: 10, rated: 1, retries: 2, restarts: 3 };
  const options = { faults: 3, minutes: 1, seed: 4, log: 'kafka' } as const;
  const records = [fault(true, 100), fault(false, 9_000), fault(true, 300), fault(true, 200)];
  expect(reportOf({ options, records, findings: [], ...figures })).toMatchObject({
    ok: true,
    survived: 3,
    uncounted: 1,
    byKind: { kill: 3 },
    recoveryMs: { p50: 200, max: 300 },
  });
  expect(reportOf({ options, records, findings: ['lost'], ...figures }).ok).toBe(false);
});

test('an event that is on the log twice is one; a fact that was told under two ids was done twice', () => {
  const record = (topic: string, ce_id: string, more: Record<string, string> = {}) => ({
    topic,
    key: 'a',
    headers: { ce_id, ce_source: 'stock', ...more },
  });
  const twice = (...records: ReturnType<typeof record>[]) => {
    const told = new Told();
    for (const one of records) told.add(one);
    return told.twice(new Set());
  };
  const created = record('order.created', '1');
  expect(twice(created, record('stock.reserved', '2'), record('stock.reserved', '2'))).toEqual([]);
  expect(twice(created, record('stock.reserved', '2'), record('stock.reserved', '3'))).toHaveLength(1);
  expect(twice(record('order.confirmed', '4'), record('order.confirmed', '5'))).toHaveLength(1);
  // What was asked twice is answered twice, and what somebody else said is not the product's doing.
  const asked = [created, record('order.created', '6')];
  expect(twice(...asked, record('stock.reserved', '2'), record('stock.reserved', '3'))).toEqual([]);
  expect(twice(record('order.confirmed', '4'), record('order.confirmed', '5', { [ROGUE]: '' }))).toEqual([]);
});
