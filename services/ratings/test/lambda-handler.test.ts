import type { LambdaFunctionURLHandler } from 'aws-lambda';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { handler } from '../lambda/statistics.ts';
import { postEvent, requestContext } from './lambda-events.ts';

/** What AWS calls. */
handler satisfies LambdaFunctionURLHandler;

const MAX = Number.MAX_SAFE_INTEGER;
const COUNT = 'must be a whole number from 0 to 9007199254740991';
const BAD_DATA = 'There is some problem with the data you submitted.';

async function answered(...given: Parameters<typeof postEvent>) {
  const { body, ...rest } = await handler(postEvent(...given));
  return { ...rest, json: JSON.parse(body) as Record<string, unknown>, body };
}

async function statisticsOf(ratings: object) {
  const { statusCode, json } = await answered({ ratings });
  expect(statusCode).toBe(200);
  return json;
}

describe('statistics', () => {
  test.each([
    [
      { 1: 20, 2: 30, 3: 40, 4: 60, 5: 60 },
      { avg: 3.5238095238095237, totalCount: 210 },
    ],
    [
      { 1: 20, 2: 30, 3: 50, 4: 45, 5: 60 },
      { avg: 3.4634146341463414, totalCount: 205 },
    ],
    [
      { 5: '3', 4: '1' },
      { avg: 4.75, totalCount: 4 },
    ],
    [
      { 1: 1, 2: '2' },
      { avg: 1.6666666666666667, totalCount: 3 },
    ],
    [
      { 1: 0, 2: 0, 3: '0', 4: 0, 5: 0 },
      { avg: 0, totalCount: 0 },
    ],
    [{}, { avg: 0, totalCount: 0 }],
    [{ 5: MAX }, { avg: 5, totalCount: MAX }],
    [{ 5: String(MAX) }, { avg: 5, totalCount: MAX }],
    // In doubles, 5 times the largest count is not exact any more.
    [
      { 1: 1, 5: MAX - 1 },
      { avg: 4.999999999999999, totalCount: MAX },
    ],
  ])('%j', async (ratings, expected) => {
    expect(await statisticsOf(ratings)).toEqual(expected);
  });

  test('the answer is that of the contract, as JSON, and nothing else', async () => {
    expect(await handler(postEvent({ ratings: { 1: 20, 2: 30, 3: 40, 4: 65, 5: 55 } }))).toEqual({
      statusCode: 200,
      headers: { 'content-type': 'application/json; charset=utf-8' },
      body: '{"avg":3.5,"totalCount":210}',
    });
  });

  test('the average is the double that is nearest to the exact quotient, whatever the counts', async () => {
    const count = fc.oneof(fc.nat(100), fc.nat(), fc.bigInt({ min: 0n, max: BigInt(MAX) / 5n }).map(Number));
    await fc.assert(
      fc.asyncProperty(fc.tuple(count, count, count, count, count), async (counts) => {
        const total = counts.reduce((sum, each) => sum + BigInt(each), 0n);
        fc.pre(total > 0n);
        const stars = counts.reduce((sum, each, index) => sum + BigInt(each) * BigInt(index + 1), 0n);
        const ratings = Object.fromEntries(counts.map((each, index) => [index + 1, each]));
        const { avg, totalCount } = await statisticsOf(ratings);
        expect(totalCount).toBe(Number(total));
        // Multiplied by 2^52 · total, everything is whole.
        const off = (double: number) => {
          const difference = BigInt(double * 2 ** 52) * total - (stars << 52n);
          return difference < 0n ? -difference : difference;
        };
        const mean = avg as number;
        const ulp = 2 ** (Math.floor(Math.log2(mean)) - 52);
        for (const other of [mean - ulp, mean + ulp]) expect(off(mean) <= off(other)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

describe('bodies', () => {
  const base64 = (text: string | Buffer) => Buffer.from(text).toString('base64');
  const good = JSON.stringify({ ratings: { 5: 2 } });

  test('in base64', async () => {
    const { statusCode, json } = await answered(base64(good), { isBase64Encoded: true });
    expect([statusCode, json]).toEqual([200, { avg: 5, totalCount: 2 }]);
  });

  test.each([
    'application/json; charset=UTF-8',
    'Application/JSON;charset="utf-8"',
    'application/vnd.x+json',
  ])('of type %s', async (type) => {
    expect(await answered(good, { headers: { 'content-type': type } })).toMatchObject({ statusCode: 200 });
  });

  test('without a type', async () => {
    const { 'content-type': _, ...headers } = postEvent(good).headers;
    expect(await handler({ ...postEvent(good), headers })).toMatchObject({ statusCode: 200 });
    expect(await handler({ ...postEvent(good), headers: undefined })).toMatchObject({ statusCode: 200 });
  });

  test('fields that it does not know are ignored', async () => {
    expect((await answered({ ratings: { 3: 1 }, talkId: 'x', __proto__: 1 })).json).toEqual({
      avg: 3,
      totalCount: 1,
    });
  });

  test.each([
    ['text/plain', '{}'],
    ['application/x-www-form-urlencoded', 'ratings=1'],
    ['application/jsonx', '{}'],
    ['', '{}'],
  ])('of type %j are refused: 415', async (type, body) => {
    const { statusCode, headers, json } = await answered(body, { headers: { 'content-type': type } });
    expect([statusCode, headers.accept]).toEqual([415, 'application/json']);
    expect(json).toEqual({ status: 415, message: 'The body must be application/json.', details: [] });
  });

  test('of another charset, or compressed, are refused: 415', async () => {
    const latin = { 'content-type': 'application/json; charset=iso-8859-1' };
    expect((await answered(good, { headers: latin })).json).toMatchObject({ status: 415 });
    const { statusCode, headers } = await answered(base64(good), {
      headers: { 'content-encoding': 'gzip' },
      isBase64Encoded: true,
    });
    expect([statusCode, headers['accept-encoding']]).toEqual([415, 'identity']);
  });

  test('of more than a mebibyte are refused: 413', async () => {
    const padded = (bytes: number) => good + ' '.repeat(bytes - good.length);
    const limit = 1024 * 1024;
    expect((await answered(padded(limit))).statusCode).toBe(200);
    expect((await answered(padded(limit + 1))).json).toMatchObject({ status: 413, details: [] });
    const encoded = (bytes: number) => answered(base64(padded(bytes)), { isBase64Encoded: true });
    expect((await encoded(limit)).statusCode).toBe(200);
    expect((await encoded(limit + 1)).statusCode).toBe(413);
    // Characters of several bytes count as what they are.
    expect((await answered(`${good}${'€'.repeat(400_000)}`)).statusCode).toBe(413);
  });
});

describe('what can not be right is 400, with the field named', () => {
  const violations: [string, unknown, { field: string; error: string }[]][] = [
    ['no object', [], [{ field: '', error: 'must be a JSON object' }]],
    ['null', null, [{ field: '', error: 'must be a JSON object' }]],
    ['a number', 5, [{ field: '', error: 'must be a JSON object' }]],
    ['nothing in it', {}, [{ field: 'ratings', error: 'is required' }]],
    [
      'ratings null',
      { ratings: null },
      [{ field: 'ratings', error: 'must be an object of counts by rating' }],
    ],
    ['a list', { ratings: [1, 2] }, [{ field: 'ratings', error: 'must be an object of counts by rating' }]],
    ['a text', { ratings: '5' }, [{ field: 'ratings', error: 'must be an object of counts by rating' }]],
    [
      'ratings 0 and 6',
      { ratings: { 0: 1, 3: 1, 6: 1, '05': 1 } },
      ['0', '6', '05'].map((rating) => ({
        field: `ratings.${rating}`,
        error: 'must be a rating from 1 to 5',
      })),
    ],
    [
      'too many in all',
      { ratings: { 1: MAX, 2: 1 } },
      [{ field: 'ratings', error: 'must add up to at most 9007199254740991' }],
    ],
    ...[
      -1,
      1.5,
      null,
      true,
      [],
      {},
      MAX + 1,
      1e300,
      '',
      ' 3',
      '3 ',
      '-1',
      '+1',
      '1.5',
      '1e3',
      '0x10',
      '007',
      'x',
    ].map((count): [string, unknown, { field: string; error: string }[]] => [
      `a count of ${JSON.stringify(count)}`,
      { ratings: { 2: count, 4: 1 } },
      [{ field: 'ratings.2', error: COUNT }],
    ]),
    ['a long text', { ratings: { 1: '9'.repeat(10_000) } }, [{ field: 'ratings.1', error: COUNT }]],
    ['one more than fits', { ratings: { 1: '9007199254740992' } }, [{ field: 'ratings.1', error: COUNT }]],
  ];
  test.each(violations)('%s', async (_name, body, details) => {
    const { statusCode, json } = await answered(JSON.stringify(body));
    expect(statusCode).toBe(400);
    expect(json).toEqual({ status: 400, message: BAD_DATA, details });
  });

  test('a rating named like what objects have by themselves', async () => {
    const { json } = await answered('{"ratings":{"__proto__":1,"constructor":2}}');
    expect(json.details).toMatchObject([{ field: 'ratings.__proto__' }, { field: 'ratings.constructor' }]);
  });

  test('however much is wrong, the answer stays small', async () => {
    const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`${'x'.repeat(60)}${n}`, -1]));
    const { body, json } = await answered({ ratings: many });
    expect(json.details).toHaveLength(100);
    expect(body.length).toBeLessThan(15_000);
  });

  test.each(['', '{', '{"ratings":', 'null null', '\u0000', '[1', "{'ratings':{}}", '['.repeat(200_000)])(
    'no JSON: %j',
    async (body) => {
      const { statusCode, json } = await answered(body);
      expect([statusCode, json.details]).toEqual([400, []]);
    },
  );

  test('no body, no base64, no UTF-8', async () => {
    expect((await answered(undefined)).json).toMatchObject({ status: 400, message: 'The body is missing.' });
    for (const body of ['%%%', Buffer.from([0x7b, 0xff, 0x7d]).toString('base64')])
      expect((await answered(body, { isBase64Encoded: true })).json).toMatchObject({ status: 400 });
  });
});

test.each(['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'post'])('%s is 405', async (method) => {
  const { statusCode, headers, json } = await answered(
    { ratings: {} },
    { requestContext: requestContext(method) },
  );
  expect([statusCode, headers.allow, json.status]).toEqual([405, 'POST', 405]);
});

test.each([{}, null, undefined, { ratings: { 1: 1 } }, { requestContext: null }, { requestContext: {} }])(
  'what is no event of a function URL, such as %j, is 400',
  async (event) => {
    const { statusCode, body } = await handler(event as never);
    expect([statusCode, JSON.parse(body).status]).toEqual([400, 400]);
  },
);

test('anything at all is answered, and never with a failure', async () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.json(),
    fc.json().map((json) => `{"ratings":${json}}`),
  );
  await fc.assert(
    fc.asyncProperty(text, fc.boolean(), fc.string(), async (body, isBase64Encoded, type) => {
      const { statusCode } = await answered(body, {
        isBase64Encoded,
        headers: { 'content-type': isBase64Encoded ? type : 'application/json' },
      });
      expect([200, 400, 415]).toContain(statusCode);
    }),
    { numRuns: 300 },
  );
});
