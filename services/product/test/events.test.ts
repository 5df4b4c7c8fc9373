import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import {
  ProductCreatedSchema,
  ProductDeletedSchema,
  ProductUpdatedSchema,
} from '@tradewind/contracts/product/v1/events';
import { topicOf } from '@tradewind/messaging/contract';
import { decodeEvent } from '@tradewind/messaging/event';
import type { ReceivedRecord } from '@tradewind/messaging/log';
import type { TestService } from '@tradewind/testing/service';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { clientsOf, type ProductClient, startProduct } from './market.ts';

let running: TestService;
let client: ProductClient;
beforeAll(async () => {
  running = await startProduct();
  client = clientsOf(running.url).grpc;
});
afterAll(() => running[Symbol.asyncDispose]());

/** What is on an event's topic, of one product. */
async function told(schema: DescMessage, productId: number): Promise<ReceivedRecord[]> {
  const topic = topicOf(schema).name;
  const records: ReceivedRecord[] = [];
  for (const { partition, start, end } of await running.log.bounds(topic)) {
    if (end > start)
      records.push(...(await running.log.read({ topic, partition, offset: start }, Number(end - start))));
  }
  return records.filter(({ key }) => key === String(productId));
}

function decoded<Desc extends DescMessage>(
  schema: Desc,
  records: readonly ReceivedRecord[],
): MessageShape<Desc>[] {
  return records.map((record) => decodeEvent(schema, record));
}

test('every change is told once, with the product as it then is, under its id and with growing revisions', async () => {
  const { product } = await client.createProduct({
    name: 'Oak desk',
    price: 24900n,
    category: 'furniture',
    brand: 'Norrland',
  });
  const productId = product?.id ?? 0;
  const update = (fields: object, paths: string[]) =>
    client.updateProduct({ id: productId, product: fields, updateMask: { paths } });
  await update({ name: 'Oak desk, large', price: 29900n }, ['name', 'price']);
  await update({ description: 'Not in the event.' }, ['description']);
  await client.deleteProduct({ id: productId });

  await vi.waitFor(async () => expect(await told(ProductDeletedSchema, productId)).toHaveLength(1), 10_000);
  const base = {
    productId,
    name: 'Oak desk',
    price: 24900n,
    currency: 'USD',
    category: 'furniture',
    brand: 'Norrland',
  };
  const changed = { ...base, name: 'Oak desk, large', price: 29900n };
  const created = await told(ProductCreatedSchema, productId);
  expect(decoded(ProductCreatedSchema, created)).toMatchObject([{ ...base, revision: 1n }]);
  expect(decoded(ProductUpdatedSchema, await told(ProductUpdatedSchema, productId))).toMatchObject([
    { ...changed, revision: 2n },
    { ...changed, revision: 3n },
  ]);
  const deleted = await told(ProductDeletedSchema, productId);
  expect(decoded(ProductDeletedSchema, deleted)).toMatchObject([{ productId, revision: 4n }]);

  expect(created[0]?.headers).toMatchObject({
    ce_specversion: '1.0',
    ce_type: 'tradewind.product.v1.ProductCreated',
    ce_source: 'product',
    'content-type': 'application/json',
  });
  expect(JSON.parse(Buffer.from(created[0]?.value ?? []).toString())).toEqual({
    product_id: productId,
    name: 'Oak desk',
    price: '24900',
    currency: 'USD',
    category: 'furniture',
    brand: 'Norrland',
    revision: '1',
  });
});

test('what changes nothing, or fails, tells nothing', async () => {
  const { product } = await client.createProduct({ name: 'Quiet' });
  const id = product?.id ?? 0;
  const mask = { updateMask: { paths: ['name'] } };
  await client.updateProduct({ id, product: { name: 'Quiet' }, ...mask });
  await client.updateProduct({ id, product: { name: 'Loud' }, ...mask, revision: 9n }).catch(() => undefined);
  await client.deleteProduct({ id });
  await client.deleteProduct({ id });
  await client.updateProduct({ id, product: { name: 'Loud' }, ...mask }).catch(() => undefined);
  // A fact told later is on the log behind all that were told before: after it, nothing of them can still be on the way.
  const { product: last } = await client.createProduct({ name: 'Last' });
  await vi.waitFor(
    async () => expect(await told(ProductCreatedSchema, last?.id ?? 0)).toHaveLength(1),
    10_000,
  );
  await vi.waitFor(async () => expect(await told(ProductDeletedSchema, id)).toHaveLength(1), 10_000);
  expect(await told(ProductUpdatedSchema, id)).toEqual([]);
  const { rows } = await running.database.pool.query('SELECT count(*)::int AS waiting FROM outbox');
  expect(rows).toEqual([{ waiting: 0 }]);
});

test('concurrent changes of one product are told in the order of their revisions', async () => {
  const { product } = await client.createProduct({ name: 'Busy' });
  const id = product?.id ?? 0;
  await Promise.all(
    Array.from({ length: 30 }, (_, n) =>
      client.updateProduct({ id, product: { price: BigInt(n + 1) }, updateMask: { paths: ['price'] } }),
    ),
  );
  await vi.waitFor(async () => expect(await told(ProductUpdatedSchema, id)).toHaveLength(30), 10_000);
  const revisions = decoded(ProductUpdatedSchema, await told(ProductUpdatedSchema, id)).map(({ revision }) =>
    Number(revision),
  );
  expect(revisions).toEqual(Array.from({ length: 30 }, (_, n) => n + 2));
});
