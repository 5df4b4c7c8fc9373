import { ProductOrder } from '@tradewind/contracts/product/v1/product';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toMajor, toMinor } from '../graphql/money.ts';
import { type Listing, pageToken, positionOf } from '../page-token.ts';
import { Product } from '../product.ts';
import { searchQuery, sortKeyOf, wordsOf } from '../words.ts';

const fields = {
  name: 'Oak desk',
  description: 'Solid oak.',
  price: 100n,
  currency: 'USD',
  category: 'furniture',
  brand: 'Norrland',
  thumbnail: '',
};
const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second));

describe('a product', () => {
  test('begins with revision 1, found by its words', () => {
    const product = Product.of(fields, at(0));
    expect(product).toMatchObject({
      ...fields,
      revision: 1n,
      createdAt: at(0),
      updatedAt: at(0),
      deleted: false,
    });
    expect(product.words).toEqual(['oak', 'desk', 'solid', 'norrland', 'furniture']);
    expect(product.sortKey).toBe('oak desk');
  });

  test('says whether it changed', () => {
    const product = Product.of(fields, at(0));
    expect(product.change({ name: 'Oak desk', price: 100n }, at(1))).toBe(false);
    expect(product).toMatchObject({ revision: 1n, updatedAt: at(0) });
    expect(product.change({ name: 'Elm desk' }, at(2))).toBe(true);
    expect(product).toMatchObject({ revision: 2n, updatedAt: at(2), createdAt: at(0), sortKey: 'elm desk' });
    expect(product.words).toContain('elm');
  });

  test('is deleted once and changes no more', () => {
    const product = Product.of(fields, at(0));
    expect(product.delete(at(1))).toBe(true);
    expect(product).toMatchObject({ deleted: true, revision: 2n });
    expect(product.delete(at(2))).toBe(false);
    expect(product.change({ name: 'Back' }, at(3))).toBe(false);
    expect(product).toMatchObject({ name: 'Oak desk', revision: 2n, updatedAt: at(1) });
  });

  test('does not grow younger when the clock is set back', () => {
    const product = Product.of(fields, at(10));
    product.change({ price: 5n }, at(3));
    expect(product).toMatchObject({ revision: 2n, updatedAt: at(10) });
  });
});

describe('words', () => {
  test('of any text are small letters and digits that PostgreSQL takes as they are', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        for (const word of [...wordsOf(text), ...(searchQuery(text) ?? '').split(' & ').filter(Boolean)]) {
          expect(word).toMatch(/^'?[\p{L}\p{N}]+('?:\*)?$/u);
          expect(Buffer.byteLength(word)).toBeLessThan(600);
        }
        expect([...sortKeyOf(text)].length).toBeLessThanOrEqual(200);
      }),
    );
  });

  test('do not depend on case and accents', () => {
    expect(wordsOf('ÉCLAIR, Ångström & Straße №5 ﬁne')).toEqual([
      'eclair',
      'angstrom',
      'straße',
      'no5',
      'fine',
    ]);
  });
});

describe('a page token', () => {
  const listing = fc.record({
    category: fc.string(),
    search: fc.string(),
    orderBy: fc.constantFrom(...Object.values(ProductOrder).filter((value) => typeof value === 'number')),
  });
  const product = fc.record({
    id: fc.integer({ min: 1, max: 0x7fffffff }),
    name: fc.string({ unit: 'binary', maxLength: 200 }),
    price: fc.bigInt({ min: 0n, max: 1_000_000_000n }),
  });

  test('gives back its place, and fits in what the contract allows', () => {
    fc.assert(
      fc.property(listing, product, (list: Listing, last) => {
        const token = pageToken(list, last);
        expect(token.length).toBeLessThanOrEqual(2_000);
        expect(positionOf(list, token)).toMatchObject({ id: last.id });
      }),
    );
  });

  test('that somebody made up is refused, whatever it is', () => {
    const list = { category: '', search: '', orderBy: ProductOrder.NAME };
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ minLength: 1 }),
          fc.base64String({ minLength: 1 }),
          fc.json().map((json) => Buffer.from(json).toString('base64url')),
        ),
        (token) => {
          expect(() => positionOf(list, token)).toThrow('page_token');
        },
      ),
    );
  });
});

describe('money', () => {
  test.each([
    [24900n, 'USD', 249],
    [1n, 'EUR', 0.01],
    [24900n, 'JPY', 24900],
    [1234n, 'KWD', 1.234],
    [12345n, 'CLF', 1.2345],
  ])('%s of %s is %s', (minor, currency, major) => {
    expect(toMajor(minor, currency)).toBe(major);
    expect(toMinor(major, currency)).toBe(minor);
  });

  test('comes back as it went, up to the highest price', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 1_000_000_000n }),
        fc.constantFrom('USD', 'JPY', 'KWD', 'CLF'),
        (minor, currency) => {
          expect(toMinor(toMajor(minor, currency), currency)).toBe(minor);
        },
      ),
    );
  });

  test('added up in binary fractions is what was meant', () => {
    expect(toMinor(0.1 + 0.2, 'USD')).toBe(30n);
    expect(toMinor(1.1 * 3, 'USD')).toBe(330n);
    expect(toMinor(1.005, 'KWD')).toBe(1005n);
    expect(toMinor(-0, 'USD')).toBe(0n);
  });

  test('of less than the minor unit is refused', () => {
    for (const [major, currency] of [
      [0.001, 'USD'],
      [1e-9, 'USD'],
      [Number.MIN_VALUE, 'JPY'],
      [1.000_000_001, 'USD'],
      [9_999_999.990_001, 'USD'],
      [-0.01, 'USD'],
      [0.5, 'JPY'],
      [1e300, 'USD'],
      [Number.NaN, 'USD'],
      [Number.POSITIVE_INFINITY, 'USD'],
    ] as const) {
      expect(() => toMinor(major, currency)).toThrow('price');
    }
  });
});
