import { execFile } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { parseAudit, parseLoad } from '../load/command-line.ts';
import { Market } from './load-market.ts';

describe('the command line', () => {
  test('flags win over the environment, the environment over defaults', () => {
    const env = { ORDER_URL: 'http://a:1', STOCK_URL: 'http://b:2', PRODUCT_URL: '' };
    const command = parseLoad(
      ['--order-url', 'https://c:3', '--limit', '5', '--restock', '0.9', '--no-audit'],
      env,
    );
    expect(command).toEqual({
      json: false,
      options: {
        orderUrl: 'https://c:3',
        stockUrl: 'http://b:2',
        productUrl: 'http://127.0.0.1:8080',
        ratingsUrl: 'http://127.0.0.1:8082',
        ratingsMayBeAway: true,
        protocol: 'rest',
        limit: 5,
        restock: 0.9,
        audit: false,
      },
    });
    expect(
      parseAudit([], { APP_ORDER_PORT: '1', ORDER_PORT: '2', APP_STOCK_URL: 'http://b:2' }),
    ).toMatchObject({
      options: { orderUrl: 'http://127.0.0.1:1', stockUrl: 'http://b:2' },
    });
    expect(parseAudit(['--run', 'a', '--run', 'b', '--json'], {})).toMatchObject({
      json: true,
      options: { runs: ['a', 'b'] },
    });
  });

  test('who says where ratings are wants them to be there; ratings of others are added up', () => {
    expect(parseLoad(['--ratings', '0.1'], { RATINGS_PORT: '9' })).toMatchObject({
      options: { ratings: 0.1, ratingsUrl: 'http://127.0.0.1:9', ratingsMayBeAway: true },
    });
    expect(parseLoad([], { RATINGS_URL: 'http://r:1' })).toMatchObject({
      options: { ratingsUrl: 'http://r:1', ratingsMayBeAway: false },
    });
    const foreign = ['a-talk=5', 'a-talk=5', 'product/1=2'].flatMap((text) => ['--foreign', text]);
    expect(parseAudit(['--ratings-url', 'http://r:2', ...foreign], {})).toMatchObject({
      options: {
        ratingsUrl: 'http://r:2',
        ratingsMayBeAway: false,
        foreign: new Map([
          ['a-talk', [0, 0, 0, 0, 2]],
          ['product/1', [0, 1, 0, 0, 0]],
        ]),
      },
    });
    expect(() => parseAudit(['--foreign', 'a-talk'], {})).toThrow(/--foreign must be such as/);
    expect(() => parseAudit(['--foreign', 'a-talk=6'], {})).toThrow(/--foreign/);
  });

  test.each([
    [['--clients', '0'], /--clients must be a whole number from 1/],
    [['--clients', '1.5'], /--clients/],
    [['--rate', 'fast'], /--rate must be a number/],
    [['--rate', ''], /--rate/],
    [['--protocol', 'soap'], /--protocol must be one of rest, grpc, connect/],
    [['--order-url', 'localhost:3000'], /--order-url \(ORDER_URL\) must be a URL/],
    [['--what'], /--what/],
    [['stray'], /stray/],
  ])('%j is refused', (argv, message) => {
    expect(() => parseLoad(argv, {})).toThrow(message);
  });
});

function run(tool: string, argv: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [`${import.meta.dirname}/../${tool}.ts`, ...argv],
      // Nobody's ratings service.
      { env: { ...process.env, RATINGS_PORT: '9' } },
      (_, out, err) => resolve({ code: child.exitCode ?? -1, out, err }),
    );
  });
}

describe('the commands', () => {
  const flags = ({ orderUrl, productUrl, stockUrl }: Market['addresses']) => [
    '--order-url',
    orderUrl,
    '--product-url',
    productUrl,
    '--stock-url',
    stockUrl,
  ];

  test('load exits 0 when all is well; its last line is JSON on request, progress is plain lines', async () => {
    await using market = await Market.open();
    const { code, out, err } = await run('load', [...flags(market.addresses), '--limit', '50', '--json']);
    expect({ code, err }).toMatchObject({ code: 0 });
    expect(JSON.parse(out.trim().split('\n').at(-1) ?? '')).toMatchObject({
      ok: true,
      accepted: 50,
      audit: { ok: true },
    });
    expect(err).toContain('accepted');
    expect(err).not.toContain('\r');
  });

  test('load and audit exit 1 and name what is wrong', async () => {
    await using market = await Market.open({ oversellEvery: 50 });
    const load = await run('load', [...flags(market.addresses), '--limit', '50', '--no-audit']);
    expect(load.code).toBe(0);
    const { code, out } = await run('audit', flags(market.addresses));
    expect(code).toBe(1);
    expect(out).toMatch(/ratings +left out: no ratings service answers at http:\/\/127\.0\.0\.1:9/);
    expect(out).toMatch(/product \d+: put in 100000, left \d+, held by orders \d+: \d+ too many/);
  });

  test('a wrong flag exits 2 with the usage', async () => {
    const { code, err } = await run('load', ['--clients', 'x']);
    expect(code).toBe(2);
    expect(err).toContain('npm run load --');
  });
});
