import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Lambda, startLambda } from '@tradewind/testing/lambda';
import { unzipSync } from 'fflate';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { postEvent, requestContext } from '../../services/ratings/test/lambda-events.ts';
import { lambdaZip } from '../lambda/zip.ts';

let folder = '';
let lambda: Lambda;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tradewind-lambda-zip-'));
  const task = join(folder, 'task');
  await mkdir(task);
  const { zip } = await lambdaZip();
  for (const [name, bytes] of Object.entries(unzipSync(zip))) await writeFile(join(task, name), bytes);
  const onProgress = (step: string) => console.log(step);
  lambda = await startLambda({ folder: task, handler: 'index.handler', onProgress });
});
afterAll(async () => {
  await lambda?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

interface Answer {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

async function answered(...given: Parameters<typeof postEvent>): Promise<Answer> {
  return (await lambda.invoke(postEvent(...given))) as Answer;
}

describe("the function from the zip, under AWS' emulator and runtime client", () => {
  test('answers the question of the contract', async () => {
    expect(await answered({ ratings: { 1: 20, 2: 30, 3: 40, 4: 65, 5: 55 } })).toEqual({
      statusCode: 200,
      headers: { 'content-type': 'application/json; charset=utf-8' },
      body: '{"avg":3.5,"totalCount":210}',
    });
  });

  test.each([
    [{ 5: '3', 4: '1' }, '{"avg":4.75,"totalCount":4}'],
    [{}, '{"avg":0,"totalCount":0}'],
    [{ 1: 1, 5: Number.MAX_SAFE_INTEGER - 1 }, '{"avg":4.999999999999999,"totalCount":9007199254740991}'],
  ])('answers %j', async (ratings, body) => {
    expect(await answered({ ratings })).toMatchObject({ statusCode: 200, body });
  });

  test('takes a body in base64', async () => {
    const body = Buffer.from('{"ratings":{"2":1}}').toString('base64');
    expect(await answered(body, { isBase64Encoded: true })).toMatchObject({
      statusCode: 200,
      body: '{"avg":2,"totalCount":1}',
    });
  });

  test.each<[string, Parameters<typeof postEvent>, number, object]>([
    ['a rating of 6', [{ ratings: { 6: 1 } }], 400, { details: [{ field: 'ratings.6' }] }],
    ['half a count', [{ ratings: { 1: 0.5 } }], 400, { details: [{ field: 'ratings.1' }] }],
    ['no ratings', [{}], 400, { details: [{ field: 'ratings', error: 'is required' }] }],
    ['no JSON', ['{'], 400, { details: [] }],
    ['no body', [undefined], 400, { details: [] }],
    ['a form', ['a=1', { headers: { 'content-type': 'application/x-www-form-urlencoded' } }], 415, {}],
    ['a GET', [undefined, { requestContext: requestContext('GET') }], 405, {}],
    ['too much', [`{"ratings":{}}${' '.repeat(2 ** 20)}`], 413, {}],
  ])('refuses %s', async (_name, given, status, body) => {
    const { statusCode, body: text } = await answered(...given);
    expect(statusCode).toBe(status);
    expect(JSON.parse(text)).toMatchObject({ status, message: expect.any(String), ...body });
  });

  test.each([null, 5, 'text', [], {}, { ratings: { 1: 1 } }])(
    'refuses %j, which is no event',
    async (event) => {
      expect(await lambda.invoke(event)).toMatchObject({ statusCode: 400 });
    },
  );

  test('never fails, so that one process has answered all of it', async () => {
    const log = await lambda.log();
    expect(log.match(/INIT START/g)).toHaveLength(1);
    expect(log).not.toMatch(/Invoke Error|errorType|status: (?!success)/);
  });
});

test('a function that fails is seen as one that fails', async () => {
  const broken = join(folder, 'broken');
  await mkdir(broken);
  await writeFile(
    join(broken, 'index.mjs'),
    'export const handler = async () => { throw new TypeError("no"); };',
  );
  await using failing = await startLambda({ folder: broken, handler: 'index.handler' });
  expect(await failing.invoke(postEvent({}))).toMatchObject({ errorType: 'TypeError', errorMessage: 'no' });
});
