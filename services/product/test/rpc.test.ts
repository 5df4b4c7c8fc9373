import { Code, ConnectError } from '@connectrpc/connect';
import { violationsOf } from '@tradewind/rpc/failure';
import type { TestService } from '@tradewind/testing/service';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clientsOf, startProduct } from './market.ts';

let running: TestService;
let clients: ReturnType<typeof clientsOf>;
beforeAll(async () => {
  running = await startProduct();
  clients = clientsOf(running.url);
});
afterAll(() => running[Symbol.asyncDispose]());

const desk = {
  name: 'Oak desk',
  description: 'Solid oak.',
  price: 24900n,
  category: 'furniture',
  brand: 'Norrland',
  thumbnail: 'https://example.org/desk.png',
};

async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConnectError)) throw new Error(`the call did not fail: ${String(error)}`);
  return error;
}

async function create(fields: Partial<typeof desk> = {}) {
  const { product } = await clients.grpc.createProduct({ ...desk, ...fields });
  if (!product) throw new Error('no product in the answer');
  return product;
}

describe.each(['grpc', 'connect', 'grpcWeb'] as const)('over %s', (protocol) => {
  test('a product is created, read, changed and deleted', async () => {
    const client = clients[protocol];
    const { product } = await client.createProduct(desk);
    expect(product).toMatchObject({ ...desk, currency: 'USD', revision: 1n });
    expect(product?.rating).toBeUndefined();
    expect(product?.createdAt).toEqual(product?.updatedAt);
    const id = product?.id ?? 0;
    expect(id).toBeGreaterThan(0);
    expect((await client.getProduct({ id })).product).toEqual(product);

    const change = {
      id,
      product: { price: 29900n, name: 'not in the mask' },
      updateMask: { paths: ['price'] },
    };
    const { product: changed } = await client.updateProduct(change);
    expect(changed).toMatchObject({ ...desk, price: 29900n, revision: 2n });
    expect((await client.getProduct({ id })).product).toEqual(changed);

    await client.deleteProduct({ id });
    expect((await failureOf(client.getProduct({ id }))).code).toBe(Code.NotFound);
  });
});

test('many products come in one call: each once, by id, without those that are not there', async () => {
  const [first, second, third] = [await create(), await create(), await create()];
  await clients.grpc.deleteProduct({ id: second.id });
  const ids = [third.id, first.id, third.id, second.id, 2_000_000_000];
  const { products } = await clients.grpc.batchGetProducts({ ids });
  expect(products).toEqual([first, third]);
});

describe('an update', () => {
  test('that changes nothing keeps revision and time', async () => {
    const before = await create();
    const { product } = await clients.grpc.updateProduct({
      id: before.id,
      product: { name: before.name, brand: before.brand },
      updateMask: { paths: ['name', 'brand'] },
    });
    expect(product).toEqual(before);
  });

  test('clears what the mask names and the product leaves out', async () => {
    const { id } = await create();
    const { product } = await clients.grpc.updateProduct({
      id,
      updateMask: { paths: ['description', 'thumbnail', 'price'] },
    });
    expect(product).toMatchObject({
      description: '',
      thumbnail: '',
      price: 0n,
      name: desk.name,
      revision: 2n,
    });
  });

  test('with another revision than the product has is ABORTED and changes nothing', async () => {
    const { id } = await create();
    const rename = (name: string, revision: bigint) =>
      clients.connect.updateProduct({ id, product: { name }, updateMask: { paths: ['name'] }, revision });
    await rename('first', 1n);
    const failure = await failureOf(rename('second', 1n));
    expect(failure.code).toBe(Code.Aborted);
    expect(failure.rawMessage).toBe(`product ${id} has revision 2, not 1`);
    await rename('third', 2n);
    expect((await clients.grpc.getProduct({ id })).product).toMatchObject({ name: 'third', revision: 3n });
  });

  test('counts every one of many at the same time', async () => {
    const { id } = await create();
    await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        clients.grpc.updateProduct({ id, product: { price: BigInt(n) }, updateMask: { paths: ['price'] } }),
      ),
    );
    expect((await clients.grpc.getProduct({ id })).product?.revision).toBe(21n);
  });

  test.each([
    [{}, 'update_mask'],
    [{ updateMask: { paths: [] } }, 'update_mask'],
    [{ updateMask: { paths: ['id'] } }, 'update_mask'],
    [{ updateMask: { paths: ['name'] }, product: { name: '' } }, 'product.name'],
    [{ updateMask: { paths: ['name'] }, product: { name: ' ' } }, 'product.name'],
    [{ updateMask: { paths: ['price'] }, product: { price: -1n } }, 'product.price'],
    [{ updateMask: { paths: ['currency'] }, product: { currency: 'usd' } }, 'product.currency'],
  ])('is refused where it breaks a rule, %#', async (request, field) => {
    const { id } = await create();
    const failure = await failureOf(clients.grpc.updateProduct({ id, ...request }));
    expect(failure.code).toBe(Code.InvalidArgument);
    expect(violationsOf(failure).map((violation) => violation.field)).toContain(field);
  });
});

describe('a deleted product', () => {
  test('stays deleted: it is not found, not changed, and deleting it again is no error', async () => {
    const { id } = await create();
    await clients.grpc.deleteProduct({ id });
    await clients.grpc.deleteProduct({ id });
    const update = clients.grpc.updateProduct({
      id,
      product: { name: 'back' },
      updateMask: { paths: ['name'] },
    });
    expect((await failureOf(update)).code).toBe(Code.NotFound);
    expect((await failureOf(clients.grpc.getProduct({ id }))).code).toBe(Code.NotFound);
    const { rows } = await running.database.pool.query(
      'SELECT revision FROM product WHERE id = $1 AND deleted_at IS NOT NULL',
      [id],
    );
    expect(rows).toEqual([{ revision: '2' }]);
  });

  test('leaves its id to nobody', async () => {
    const { id } = await create();
    await clients.grpc.deleteProduct({ id });
    expect((await create()).id).toBeGreaterThan(id);
  });

  test('that never was is NOT_FOUND', async () => {
    expect((await failureOf(clients.grpc.deleteProduct({ id: 2_000_000_000 }))).code).toBe(Code.NotFound);
  });
});

describe('with an Idempotency-Key', () => {
  const keyed = (key: string) => ({ headers: { 'idempotency-key': key } });

  test('a repeat gives the first answer, over another protocol as well, and makes nothing', async () => {
    const fields = { name: 'Once', category: 'idempotent' };
    const first = await clients.grpc.createProduct(fields, keyed('create-1'));
    await clients.grpc.updateProduct({
      id: first.product?.id ?? 0,
      product: { price: 5n },
      updateMask: { paths: ['price'] },
    });
    expect(await clients.connect.createProduct(fields, keyed('create-1'))).toEqual(first);
    const { products } = await clients.grpc.listProducts({ category: 'idempotent' });
    expect(products).toHaveLength(1);
  });

  test('twenty at the same time make one product', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        clients.grpc.createProduct({ name: 'Twin', category: 'twins' }, keyed('twins')),
      ),
    );
    expect(new Set(answers.map(({ product }) => product?.id)).size).toBe(1);
    expect((await clients.grpc.listProducts({ category: 'twins' })).products).toHaveLength(1);
  });

  test('another request is refused with ALREADY_EXISTS', async () => {
    await clients.grpc.createProduct({ name: 'One' }, keyed('other'));
    expect((await failureOf(clients.grpc.createProduct({ name: 'Two' }, keyed('other')))).code).toBe(
      Code.AlreadyExists,
    );
  });

  test('an update is made once, though the product has moved on', async () => {
    const { id } = await create();
    const change = { id, product: { name: 'Renamed' }, updateMask: { paths: ['name'] }, revision: 1n };
    const first = await clients.grpc.updateProduct(change, keyed(`update-${id}`));
    expect(await clients.grpc.updateProduct(change, keyed(`update-${id}`))).toEqual(first);
    expect((await clients.grpc.getProduct({ id })).product?.revision).toBe(2n);
  });

  test('a failure is not remembered', async () => {
    const missing = { id: 2_000_000_001 };
    expect((await failureOf(clients.grpc.deleteProduct(missing, keyed('gone')))).code).toBe(Code.NotFound);
    const { id } = await create();
    await clients.grpc.deleteProduct({ id }, keyed('gone'));
    expect((await failureOf(clients.grpc.getProduct({ id }))).code).toBe(Code.NotFound);
  });
});

describe('bad input names its field', () => {
  const long = (length: number) => 'x'.repeat(length);
  test.each([
    [{}, 'name'],
    [{ name: long(201) }, 'name'],
    [{ name: 'a\u0000b' }, 'name'],
    [{ name: ' ' }, 'name'],
    [{ name: '\u00a0\u3000\u200b' }, 'name'],
    [{ name: 'a', description: 'a\u0000b' }, 'description'],
    [{ name: 'a', description: long(4_001) }, 'description'],
    [{ name: 'a', price: -1n }, 'price'],
    [{ name: 'a', price: 1_000_000_001n }, 'price'],
    [{ name: 'a', price: 9_223_372_036_854_775_807n }, 'price'],
    [{ name: 'a', currency: 'EURO' }, 'currency'],
    [{ name: 'a', category: long(101) }, 'category'],
    [{ name: 'a', brand: 'two\nlines' }, 'brand'],
    [{ name: 'a', thumbnail: 'no url at all' }, 'thumbnail'],
  ])('of CreateProduct, %#', async (request, field) => {
    const failure = await failureOf(clients.grpc.createProduct(request));
    expect(failure.code).toBe(Code.InvalidArgument);
    expect(violationsOf(failure).map((violation) => violation.field)).toEqual([field]);
  });

  test('in words, not in patterns', async () => {
    const name = ' ';
    const [description, category, brand] = ['\u0000', 'a\tb', '\u007f'];
    const failure = await failureOf(clients.grpc.createProduct({ name, description, category, brand }));
    expect(violationsOf(failure)).toEqual([
      { field: 'name', error: 'must not be blank' },
      { field: 'description', error: 'must not contain NUL characters' },
      { field: 'category', error: 'must not contain control characters' },
      { field: 'brand', error: 'must not contain control characters' },
    ]);
    const { product } = await clients.grpc.createProduct({ name: ' 👩‍💻 ', description: 'two\nlines' });
    expect(product?.name).toBe(' 👩‍💻 ');
  });

  test('ids, pages and batches', async () => {
    const { grpc } = clients;
    const refused = async (call: Promise<unknown>, field: string) => {
      const failure = await failureOf(call);
      expect([failure.code, violationsOf(failure)[0]?.field]).toEqual([Code.InvalidArgument, field]);
    };
    await refused(grpc.getProduct({ id: 0 }), 'id');
    await refused(grpc.getProduct({ id: -5 }), 'id');
    await refused(grpc.deleteProduct({}), 'id');
    await refused(grpc.batchGetProducts({ ids: [] }), 'ids');
    await refused(grpc.batchGetProducts({ ids: [1, 0] }), 'ids[1]');
    await refused(grpc.batchGetProducts({ ids: Array.from({ length: 1_001 }, (_, n) => n + 1) }), 'ids');
    await refused(grpc.listProducts({ pageSize: -1 }), 'page_size');
    await refused(grpc.listProducts({ pageSize: 1_001 }), 'page_size');
    await refused(grpc.listProducts({ orderBy: 99 as 0 }), 'order_by');
    await refused(grpc.listProducts({ category: 'a\u0000' }), 'category');
  });

  test('over Connect as JSON: malformed, wrong types, numbers that do not fit', async () => {
    const post = async (body: string, type = 'application/json') => {
      const response = await fetch(`${running.url}/tradewind.product.v1.ProductService/CreateProduct`, {
        method: 'POST',
        headers: { 'content-type': type },
        body,
      });
      return { status: response.status, text: await response.text() };
    };
    for (const body of [
      '{',
      '[]',
      '"x"',
      '{"name":5}',
      '{"name":"a","price":"ten"}',
      '{"name":"a","price":1.5}',
      `{"name":"a","price":${'9'.repeat(40)}}`,
    ]) {
      const { status, text } = await post(body);
      expect([body, status]).toEqual([body, 400]);
      expect(JSON.parse(text).code).toBe('invalid_argument');
      expect(text).not.toMatch(/\.ts:|node_modules/);
    }
    expect((await post('name=a', 'application/x-www-form-urlencoded')).status).toBe(415);
    expect((await post(`{"name":"a","unknown":"${'x'.repeat(10)}"}`)).status).toBe(200);
  });

  test('malformed protobuf', async () => {
    const response = await fetch(`${running.url}/tradewind.product.v1.ProductService/CreateProduct`, {
      method: 'POST',
      headers: { 'content-type': 'application/proto' },
      body: Buffer.from('ffffffffff', 'hex'),
    });
    expect(response.status).toBe(400);
  });
});

test('a deadline of 1 ms is DEADLINE_EXCEEDED, and the service goes on', async () => {
  const failures = await Promise.all(
    Array.from({ length: 10 }, () =>
      failureOf(clients.connect.listProducts({ pageSize: 1_000 }, { timeoutMs: 1 })).catch(() => undefined),
    ),
  );
  for (const failure of failures) if (failure) expect(failure.code).toBe(Code.DeadlineExceeded);
  expect((await clients.grpc.listProducts({ pageSize: 1 })).products).toHaveLength(1);
});
