import { Code, ConnectError } from '@connectrpc/connect';
import { describe, expect, it } from 'vitest';
import { badRequest, problem, renameFields, toConnectError, violationsOf } from '../failure.ts';
import { errorBody } from '../http-error.ts';
import { openapi } from '../rest.ts';
import { serveOrders } from './orders.ts';

describe('the errors of REST', () => {
  it.each([
    [Code.InvalidArgument, 400],
    [Code.OutOfRange, 400],
    [Code.Unauthenticated, 401],
    [Code.PermissionDenied, 403],
    [Code.NotFound, 404],
    [Code.AlreadyExists, 409],
    [Code.FailedPrecondition, 409],
    [Code.Aborted, 409],
    [Code.ResourceExhausted, 429],
    [Code.Internal, 500],
    [Code.Unimplemented, 501],
    [Code.Unavailable, 503],
    [Code.DeadlineExceeded, 504],
  ])('code %i is %i', (code, status) => {
    expect(errorBody(new ConnectError('why', code))).toEqual({ status, message: 'why', details: [] });
  });

  it('name fields as the face does', () => {
    const error = badRequest([
      { field: 'lines[0].quantity', error: 'must be greater than 0' },
      { field: 'currency', error: 'unknown' },
    ]);
    const renamed = renameFields(error, { 'lines[0].quantity': 'total_quantity' });
    expect(errorBody(renamed).details).toEqual([
      { field: 'total_quantity', error: 'must be greater than 0' },
      { field: 'currency', error: 'unknown' },
    ]);
    const other = new Error('x');
    expect(renameFields(other, {})).toBe(other);
    expect(violationsOf(problem('id', 'unknown'))).toEqual([{ field: 'id', error: 'unknown' }]);
  });

  it.each([
    ['429', Code.ResourceExhausted],
    ['503', Code.Unavailable],
  ])('say with %s when to try again', async (status, code) => {
    await using server = await serveOrders(
      {},
      {
        http(app) {
          app.get('/plain', () => {
            throw new ConnectError('busy', code);
          });
          app.get('/timed', () => {
            throw new ConnectError('busy', code, { 'retry-after': '30' });
          });
        },
      },
    );
    const plain = await fetch(`${server.url}/plain`);
    expect(String(plain.status)).toBe(status);
    expect(plain.headers.get('retry-after')).toBe('1');
    expect((await fetch(`${server.url}/timed`)).headers.get('retry-after')).toBe('30');
  });
});

describe('any error', () => {
  const coded = (code: string) => Object.assign(new Error('secret'), { code });
  it.each([
    ['PostgreSQL shutting down', coded('57P01'), Code.Unavailable],
    ['too many connections', coded('53300'), Code.Unavailable],
    ['a lost connection', coded('08006'), Code.Unavailable],
    ['a deadlock', coded('40P01'), Code.Unavailable],
    ['a pool that waited in vain', new Error('timeout exceeded when trying to connect'), Code.Unavailable],
    ['several addresses that refuse', new AggregateError([coded('ECONNREFUSED')]), Code.Unavailable],
    [
      'one wrapped twice',
      new Error('a', { cause: new Error('b', { cause: coded('EPIPE') }) }),
      Code.Unavailable,
    ],
    ['a broken constraint', coded('23505'), Code.Internal],
    ['a bug', new TypeError('x is not a function'), Code.Internal],
    ['no error at all', 'text', Code.Internal],
    ['an abort', AbortSignal.abort().reason, Code.Canceled],
    ['a timeout', new DOMException('late', 'TimeoutError'), Code.DeadlineExceeded],
    [
      'one of our own within',
      new Error('x', { cause: new ConnectError('none', Code.NotFound) }),
      Code.NotFound,
    ],
  ])('%s', (_name, error, code) => {
    const translated = toConnectError(error);
    expect(translated.code).toBe(code);
    expect(translated.message).not.toContain('secret');
  });
});

it('documents its routes without a network', async () => {
  await using server = await serveOrders(
    {},
    {
      async http(app) {
        await openapi(app, { title: 'Orders', version: '1.2.3', description: 'Takes orders.' });
        const querystring = { type: 'object', properties: { page_size: { type: 'integer', maximum: 1000 } } };
        app.get('/api/v1/orders', { schema: { summary: 'Lists orders', querystring } }, () => ({
          orders: [],
        }));
      },
    },
  );
  const spec = (await (await fetch(`${server.url}/docs/json`)).json()) as {
    paths: Record<string, { get: { parameters: unknown[] } }>;
  };
  expect(spec.paths['/api/v1/orders']?.get.parameters).toEqual([
    expect.objectContaining({ in: 'query', name: 'page_size', schema: { type: 'integer', maximum: 1000 } }),
  ]);
  const page = await (await fetch(`${server.url}/docs/`)).text();
  const assets = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => String(path));
  expect(assets.length).toBeGreaterThan(2);
  for (const asset of assets) {
    const url = new URL(asset, `${server.url}/docs/`);
    expect(url.origin).toBe(server.url);
    expect((await fetch(url)).status).toBe(200);
  }
});
