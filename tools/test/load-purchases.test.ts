import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { askedFor, formatTag, newTag, parseTag, planOrders, tagOf } from '../load/plan.ts';
import { parsePurchases, productFor, readPurchases } from '../load/purchases.ts';

describe('the file of purchases', () => {
  test('the sample has 6,919 rows, the same money and pieces as adding up with other tools gives', async () => {
    const { purchases } = await readPurchases();
    expect(purchases).toHaveLength(6_919);
    expect(purchases[0]).toEqual({ customer: '00004', date: '19970101', quantity: 2, amount: 2_933 });
    const sum = (of: (each: (typeof purchases)[number]) => number) =>
      purchases.reduce((all, each) => all + of(each), 0);
    expect({ pieces: sum(({ quantity }) => quantity), cents: sum(({ amount }) => amount) }).toEqual({
      pieces: 16_479,
      cents: 24_409_194,
    });
  });

  test('money is exact for every amount', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 99_999_999_999 }), (cents) => {
        const dollars = `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, '0')}`;
        expect(parsePurchases(`7 1 19970101 1 ${dollars}`)[0]?.amount).toBe(cents);
      }),
    );
  });

  test.each([
    ['no pieces', '00004 0001 19970101 0 29.33'],
    ['a third decimal', '00004 0001 19970101 1 29.331'],
    ['no decimals', '00004 0001 19970101 1 29'],
    ['a negative amount', '00004 0001 19970101 1 -1.00'],
    ['a column too few', '00004 0001 19970101 1'],
  ])('%s is an error that names the row', (_, row) => {
    expect(() => parsePurchases(`00004 0001 19970101 1 29.33\r\n${row}\r\n`)).toThrow(/^row 2 /);
  });

  test('purchases spread over the catalogue, equal ones to the same product', async () => {
    const { purchases } = await readPurchases();
    const catalogue = Array.from({ length: 30 }, (_, i) => i * 3 + 1);
    const counts = Map.groupBy(purchases, (purchase) => productFor(purchase, catalogue));
    expect(counts.size).toBe(30);
    for (const [, rows] of counts) expect(rows.length).toBeGreaterThan(6_919 / 30 / 2);
    const [first] = purchases;
    if (first) expect(productFor({ ...first }, catalogue)).toBe(productFor(first, catalogue));
    expect(() => productFor({ customer: '1', date: '19970101', quantity: 1, amount: 1 }, [])).toThrow(
      /catalogue is empty/,
    );
  });
});

describe('a run', () => {
  test('its tag says which rows of which file it is', async () => {
    const file = await readPurchases();
    const tag = newTag(file, { limit: 10, repeat: 3 });
    expect(parseTag(formatTag(tag))).toEqual(tag);
    expect(tagOf(`${formatTag(tag)}/00004`)).toBe(formatTag(tag));
    for (const stranger of ['', 'c-7', 'load/7', 'load-x/7']) expect(tagOf(stranger)).toBeUndefined();
  });

  test('every order has a key of its own, the same when planned again', async () => {
    const file = await readPurchases();
    const tag = newTag(file, { limit: 100, repeat: 3 });
    const orders = planOrders(tag, file.purchases, [1, 2, 3]);
    expect(new Set(orders.map(({ key }) => key)).size).toBe(300);
    expect(planOrders(tag, file.purchases, [1, 2, 3])).toEqual(orders);
    const pieces = orders.reduce((sum, { quantity }) => sum + quantity, 0);
    expect([...askedFor(orders).values()].reduce((a, b) => a + b)).toBe(pieces);
  });
});
