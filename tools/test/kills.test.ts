import { expect, test } from 'vitest';
import { chance } from '../kills/chance.ts';
import { parseKills } from '../kills/command-line.ts';
import { planStrike, planVictims, STARTER, victims } from '../kills/plan.ts';
import { UsageError } from '../load/command-line.ts';

test('chance is the same for the same seed, and another one for another', () => {
  const draw = (seed: number) => {
    const dice = chance(seed);
    return Array.from({ length: 5 }, () => dice.below(1_000));
  };
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
  const many = Array.from(
    { length: 1_000 },
    (
      (dice) => () =>
        dice.next()
    )(chance(1)),
  );
  expect(many.every((number) => number >= 0 && number < 1)).toBe(true);
  expect(many.reduce((sum, number) => sum + number) / many.length).toBeCloseTo(0.5, 1);
});

test('in two passes every kind of victim comes twice, in an order that the seed chooses', () => {
  expect(victims).toEqual(expect.arrayContaining(['ratings serve', 'ratings listen', 'product listen']));
  const rounds = 2 * victims.length;
  const turns = planVictims(rounds, 3);
  expect(turns).toHaveLength(rounds);
  expect(parseKills([])).toMatchObject({ options: { rounds } });
  for (const victim of victims) expect(turns.filter((name) => name === victim).length, victim).toBe(2);
  expect(planVictims(rounds, 3)).toEqual(turns);
  expect(planVictims(rounds, 4)).not.toEqual(turns);
});

test('a strike comes anywhere within the replay', () => {
  const moments = Array.from({ length: 500 }, (_, seed) => planStrike('order serve', seed, 100).afterOrders);
  expect(Math.min(...moments)).toBeLessThan(10);
  expect(Math.max(...moments)).toBeGreaterThan(90);
  expect(moments.every((moment) => moment >= 1 && moment <= 100)).toBe(true);
  expect(planStrike(STARTER, 1, 400).rate).toBeLessThan(100);
});

test('the command line', () => {
  expect(parseKills(['--seed', '9', '--rounds', '3', '--victim', 'stock listen'])).toEqual({
    options: { rounds: 3, orders: 400, seed: 9, victim: 'stock listen' },
    json: false,
  });
  expect(parseKills(['--help'])).toBe('help');
  for (const wrong of [
    ['--victim', 'nobody'],
    ['--rounds', '0'],
    ['--seed', ''],
    ['--orders', '1.5'],
    ['--never'],
  ])
    expect(() => parseKills(wrong), wrong.join(' ')).toThrow(UsageError);
});
