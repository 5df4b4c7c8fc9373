import { describe, expect, test } from 'vitest';
import { type ExpectedRatings, judgeGiven } from '../load/expected-ratings.ts';
import { judgeCounts, type RatingBooks } from '../load/judge-ratings.ts';
import type { Histogram, RatingEntry, StoreName, SummaryEntry } from '../load/ratings-books.ts';
import { formatAudit } from '../load/report.ts';
import { aboutOf, subjectOf } from '../load/subjects.ts';

const rating = (
  id: string,
  subject: string,
  value: number,
  more: Partial<RatingEntry> = {},
): RatingEntry => ({
  id,
  subject,
  customerId: '',
  value,
  comment: '',
  revision: 1,
  ...more,
});
const summary = (counts: Histogram): SummaryEntry => {
  const count = counts.reduce((total, each) => total + each, 0);
  const stars = counts.reduce((total, each, n) => total + each * (n + 1), 0);
  return { counts, count, average: count === 0 ? 0 : stars / count };
};

describe('counts', () => {
  const rows: [string, SummaryEntry][] = [
    ['talk', summary([0, 0, 0, 1, 1])],
    ['product/1', summary([1, 0, 0, 0, 0])],
    ['quiet', summary([0, 0, 0, 0, 0])],
  ];
  const stores = (postgres = rows, redis?: [string, SummaryEntry][]) =>
    new Map<StoreName, ReadonlyMap<string, SummaryEntry>>([
      ['PostgreSQL', new Map(postgres)],
      ...(redis ? ([['Redis', new Map(redis)]] as const) : []),
    ]);
  const books: RatingBooks = {
    ratings: [rating('a', 'talk', 4), rating('b', 'talk', 5), rating('c', 'product/1', 1)],
    stores: stores(rows, rows.slice(0, 2)),
    products: [
      { productId: 1, count: 1, average: 1 },
      { productId: 2, count: 0, average: undefined },
    ],
  };
  const judge = (wrong: Partial<RatingBooks>, foreign?: ReadonlyMap<string, Histogram>) =>
    judgeCounts({ ...books, ...wrong }, foreign);
  const replaced = (subject: string, by: SummaryEntry | undefined): [string, SummaryEntry][] =>
    rows.flatMap(([name, entry]) =>
      name !== subject ? [[name, entry]] : by ? [[name, by] as [string, SummaryEntry]] : [],
    );

  test('are in order; what Redis does not hold of a subject without ratings is right', () => {
    expect(judge({})).toEqual({ off: [], more: [] });
  });

  test('a rating that was not counted, one under another value, a subject that nobody counts', () => {
    const off = (entry: SummaryEntry | undefined) => judge({ stores: stores(replaced('talk', entry)) });
    expect(off(summary([0, 0, 0, 0, 1]))).toMatchObject({
      off: [{ subject: 'talk', by: 'PostgreSQL', expected: '0 0 0 1 1', counted: '0 0 0 0 1' }],
    });
    expect(off(summary([0, 0, 1, 0, 1])).off).toHaveLength(1);
    expect(off(undefined).off).toMatchObject([{ subject: 'talk', counted: 'nothing' }]);
  });

  test('one that was counted twice is a finding of its own kind, unless others are known to have told of it', () => {
    const wrong = { stores: stores(replaced('talk', summary([0, 0, 0, 1, 3]))) };
    expect(judge(wrong)).toEqual({
      off: [],
      more: [{ subject: 'talk', more: 2, given: '0 0 0 1 1', counted: '0 0 0 1 3' }],
    });
    expect(judge(wrong, new Map([['talk', [0, 0, 0, 0, 2]]]))).toEqual({ off: [], more: [] });
    expect(judge(wrong, new Map([['talk', [1, 0, 0, 0, 2]]])).off).toHaveLength(1);
    // Of a talk that nobody knows nothing is shown.
    expect(judge({}, new Map([['unknown', [1, 0, 0, 0, 0]]]))).toEqual({ off: [], more: [] });
  });

  test('a number or an average that is not that of its values', () => {
    const entry = { ...summary([0, 0, 0, 1, 1]), count: 3 };
    expect(judge({ stores: stores(replaced('talk', entry)) }).off).toMatchObject([
      { counted: '0 0 0 1 1, count 3, average 4.5' },
    ]);
    const drifted = { ...summary([0, 0, 0, 1, 1]), average: 4.500000000000001 };
    expect(judge({ stores: stores(replaced('talk', drifted)) }).off).toHaveLength(1);
  });

  test('Redis with another count, or without one', () => {
    const redis = (entry: SummaryEntry | undefined) =>
      judge({ stores: stores(rows, replaced('talk', entry)) }).off;
    expect(redis(summary([0, 0, 0, 2, 1]))).toMatchObject([
      { subject: 'talk', by: 'Redis', expected: '0 0 0 1 1', counted: '0 0 0 2 1' },
    ]);
    expect(redis(undefined)).toMatchObject([{ by: 'Redis', counted: 'nothing' }]);
  });

  test('a product with another average, or number', () => {
    const product = (average: number | undefined, count: number) =>
      judge({ products: [{ productId: 1, average, count }] }).off;
    expect(product(1, 1)).toEqual([]);
    expect(product(1.5, 1)).toMatchObject([{ subject: 'product/1', by: 'product' }]);
    expect(product(1, 2)).toMatchObject([
      { expected: '1 ratings, average 1', counted: '2 ratings, average 1' },
    ]);
    expect(product(undefined, 0)).toHaveLength(1);
  });
});

describe('ratings as they were given', () => {
  const mine = ({ customerId }: RatingEntry) => customerId === 'me';
  const given = rating('a', 'product/1', 4, { customerId: 'me', comment: 'Good' });
  const expected: ExpectedRatings = { given: [given], perhaps: [], mine };
  const fine = { lost: [], repeated: [], surplus: [] };

  test('are there, each once, whatever others gave', () => {
    expect(judgeGiven(expected, [given, rating('x', 'talk', 1)])).toEqual(fine);
  });

  test('one that is lost, or is not as it was given', () => {
    expect(judgeGiven(expected, [])).toEqual({ ...fine, lost: ['a'] });
    for (const wrong of [{ value: 5 }, { comment: '' }, { revision: 2 }, { subject: 'product/2' }])
      expect(judgeGiven(expected, [{ ...given, ...wrong }]), JSON.stringify(wrong)).toEqual({
        ...fine,
        lost: ['a'],
      });
  });

  test('a change that was not answered may have happened or not', () => {
    const open = { ...expected, given: [{ ...given, perhaps: { value: 1, comment: 'Bad' } }] };
    expect(judgeGiven(open, [given])).toEqual(fine);
    expect(judgeGiven(open, [{ ...given, value: 1, comment: 'Bad', revision: 2 }])).toEqual(fine);
    expect(judgeGiven(open, [{ ...given, value: 2, comment: 'Bad', revision: 2 }]).lost).toEqual(['a']);
  });

  test('one id in two answers; one that nobody gave; one that was not answered, once', () => {
    expect(judgeGiven({ ...expected, given: [given, given] }, [given]).repeated).toEqual(['a']);
    const other = { ...given, id: 'b', subject: 'product/2' };
    expect(judgeGiven(expected, [given, other]).surplus).toEqual(['b']);
    const perhaps = [{ ...other }];
    expect(judgeGiven({ ...expected, perhaps }, [given, other])).toEqual(fine);
    expect(judgeGiven({ ...expected, perhaps }, [given, other, { ...other, id: 'c' }]).surplus).toEqual([
      'c',
    ]);
  });
});

test('a report names each kind of finding', () => {
  const text = formatAudit({
    ok: false,
    atRest: true,
    orders: { total: 0, confirmed: 0, cancelled: 0 },
    products: 0,
    stuck: [],
    listedTwice: [],
    off: [],
    runs: [],
    ratings: {
      ok: false,
      atRest: false,
      ratings: 3,
      subjects: 2,
      stores: ['PostgreSQL', 'Redis'],
      listedTwice: ['twice'],
      off: [
        { subject: 'talk', by: 'Redis', expected: '0 0 0 0 1', counted: 'nothing' },
        { subject: 'product/1', by: 'product', expected: '1 ratings, average 5', counted: 'other' },
      ],
      more: [{ subject: 'talk', more: 2, given: '0 0 0 0 1', counted: '0 0 0 0 3' }],
      lost: ['gone'],
      repeated: ['again'],
      surplus: ['too-much'],
    },
  });
  for (const line of [
    'ratings    3 ratings, 2 subjects, counted by PostgreSQL and Redis: NOT as it must be',
    'never at rest',
    'talk: Redis has nothing, and not 0 0 0 0 1',
    'product/1: the product service has other, and not 1 ratings, average 5',
    'talk: 2 more counted than given: 0 0 0 0 3, and not 0 0 0 0 1',
    'gone',
    'again',
    'too-much',
  ])
    expect(text).toContain(line);
});

test("a subject's name in one line, and back", () => {
  for (const subject of ['flight-of-the-gopher', 'product/7', 'service-provider/0193'])
    expect(subjectOf(aboutOf(subject))).toBe(subject);
});
