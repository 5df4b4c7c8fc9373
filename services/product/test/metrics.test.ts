import { scrape } from '@tradewind/testing/metrics';
import { expect, test } from 'vitest';
import { ask, serveStock, startProduct } from './market.ts';

test('GraphQL operations and their top fields are measured, and those that never ran are counted', async () => {
  await using product = await startProduct();
  await ask(product, '{ products(first: 1) { name } again: products(first: 1) { id } productCategories }');
  await ask(product, 'mutation { createProduct(input: { name: "a", price: 1.5, currency: "USD" }) { id } }');
  await ask(product, 'mutation { deleteProduct(id: 4711) }');
  await ask(product, '{ products(first: 0) { name } }');
  await ask(product, '{ nothing }');
  await ask(product, 'no query');
  const told = await scrape(product.url);
  const field = (name: string, code: string) =>
    told.value('tradewind_graphql_field_duration_seconds_count', { field: name, code });
  expect(field('Query.products', 'OK')).toBe(2);
  expect(field('Query.products', 'INVALID_ARGUMENT')).toBe(1);
  expect(field('Query.productCategories', 'OK')).toBe(1);
  expect(field('Mutation.createProduct', 'OK')).toBe(1);
  expect(field('Mutation.deleteProduct', 'NOT_FOUND')).toBe(1);
  expect(told.all('tradewind_graphql_operation_duration_seconds_count')).toEqual({
    'type="query",outcome="ok"': 1,
    'type="query",outcome="failed"': 1,
    'type="mutation",outcome="ok"': 1,
    'type="mutation",outcome="failed"': 1,
  });
  expect(told.value('tradewind_graphql_refused_total')).toBe(2);
  expect(
    told.value('tradewind_http_server_duration_seconds_count', {
      route: '/graphql',
      method: 'POST',
      status: '200',
    }),
  ).toBeGreaterThan(0);
});

test('calls of a neighbour are measured where they are made', async () => {
  await using stock = await serveStock(new Map([[1, 5n]]));
  await using product = await startProduct({ STOCK_URL: stock.url });
  await ask(product, 'mutation { createProduct(input: { name: "a", price: 1.5, currency: "USD" }) { id } }');
  const levels = () => ask(product, '{ products(first: 5) { stock } }');
  expect((await levels()).errors).toBeUndefined();
  const calls = async (code: string) =>
    (await scrape(product.url)).value('tradewind_rpc_client_duration_seconds_count', {
      method: 'tradewind.stock.v1.StockService/BatchGetStock',
      code,
    });
  expect(await calls('OK')).toBe(1);
  await stock[Symbol.asyncDispose]();
  expect((await levels()).errors).toHaveLength(1);
  expect(await calls('OK')).toBe(1);
  const told = await scrape(product.url);
  expect(Object.keys(told.all('tradewind_rpc_client_duration_seconds_count'))).toEqual([
    'method="tradewind.stock.v1.StockService/BatchGetStock",code="OK"',
    expect.stringMatching(/code="(UNAVAILABLE|DEADLINE_EXCEEDED)"$/),
  ]);
});
