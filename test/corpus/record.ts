// Records the contracts of a version, and events of every topic as its services tell them and as other producers may write them:
// npm run corpus -- v2. What was recorded before is never changed.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { DescMessage } from '@bufbuild/protobuf';
import { OrderService } from '@tradewind/contracts/order/v1/order';
import { ProductService } from '@tradewind/contracts/product/v1/product';
import { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import type { Subject } from '@tradewind/contracts/ratings/v1/summary';
import { StockService } from '@tradewind/contracts/stock/v1/stock';
import { topicOf } from '@tradewind/messaging/contract';
import { delay } from '@tradewind/process/backoff';
import { type Client, createClient } from '@tradewind/rpc/client';
import { recordsOf } from '@tradewind/testing/events';
import startPostgres from '@tradewind/testing/postgres-server';
import { startService } from '@tradewind/testing/service';
import { service as orderService } from '../../services/order/service.ts';
import { service as productService } from '../../services/product/service.ts';
import { service as ratingsService } from '../../services/ratings/service.ts';
import { service as stockService } from '../../services/stock/service.ts';
import { corpus, VARIANTS } from './variants.ts';

type About = Subject['about'];

const [version = ''] = process.argv.slice(2);
const folder = new URL(`./${version}/`, import.meta.url);
if (!/^v[1-9]\d*$/.test(version)) throw new Error('which version? v2 for one');
if (existsSync(folder)) throw new Error(`${version} is recorded already, and a recording is never changed`);

const stopPostgres = await startPostgres();
try {
  await using order = await startService(orderService);
  await using stock = await startService(stockService, { logUrl: order.logUrl });
  const beside = { logUrl: order.logUrl, env: { STOCK_URL: stock.url } };
  await using product = await startService(productService, beside);
  await using ratings = await startService(ratingsService, { logUrl: order.logUrl });
  await using orders = createClient(OrderService, { baseUrl: order.url });
  await using stocks = createClient(StockService, { baseUrl: stock.url });
  await using products = createClient(ProductService, { baseUrl: product.url });
  await using rating = createClient(RatingsService, { baseUrl: ratings.url });
  const rate = await rater(rating.call);
  const each = Array.from({ length: VARIANTS }, (_, n) => n);
  for (const n of each) {
    const { product: made } = await products.call.createProduct({
      name: `Oak desk ${n}`,
      price: 24_900n,
      currency: 'EUR',
      category: 'furniture',
      brand: 'Norrland',
      description: 'Solid oak, oiled.',
    });
    const id = made?.id ?? 0;
    await stocks.call.setStock({ productId: id, quantity: 10n });
    await products.call.updateProduct({ id, product: { price: 19_900n }, updateMask: { paths: ['price'] } });
    const line = (quantity: number) => ({ productId: id, quantity, unitPrice: 19_900n });
    const customerId = `customer-${n}`;
    const { order: filled } = await orders.call.createOrder({ customerId, lines: [line(1), line(2)] });
    await orders.call.createOrder({ customerId, currency: 'EUR', lines: [line(11)] });
    await until(async () => (await orders.call.getOrder({ id: filled?.id ?? '' })).order?.status !== 1);
    await orders.call.cancelOrder({ id: filled?.id ?? '' });
    await rate(n, id);
    await products.call.deleteProduct({ id });
  }
  const told = [orderService, stockService, productService, ratingsService].flatMap(({ tells }) => tells);
  const found: [DescMessage, Awaited<ReturnType<typeof recordsOf>>][] = [];
  for (const schema of told) {
    const records = () => recordsOf(order.log, topicOf(schema).name);
    await until(async () => (await records()).length >= VARIANTS);
    found.push([schema, await records()]);
  }
  mkdirSync(folder);
  for (const [schema, records] of found) {
    const recorded = corpus(schema, records);
    writeFileSync(new URL(`${topicOf(schema).name}.json`, folder), `${JSON.stringify(recorded, null, 2)}\n`);
  }
  const image = fileURLToPath(new URL('contracts.binpb', folder));
  execFileSync('buf', ['build', '--exclude-source-info', '-o', image], { stdio: 'inherit' });
  process.stdout.write(`${version}: ${found.length} topics of ${VARIANTS} events each\n`);
} finally {
  await stopPostgres();
}

/** Rates something, or changes a rating: every kind in turn, one event each. */
async function rater(ratings: Client<typeof RatingsService>['call']) {
  const talkId = 'flight-of-the-gopher';
  await ratings.createTalk({ id: talkId, title: 'Flight of the gopher' });
  const { customer } = await ratings.createCustomer({ name: 'Alice', email: 'alice@example.com' });
  const customerId = customer?.id ?? '';
  let rated = '';
  const create = async (about: About) => {
    const { rating } = await ratings.createRating({
      subject: { about },
      customerId,
      value: 4,
      comment: 'Great "desk", 5 < 6 & ünïcode 🪵',
    });
    rated = rating?.id ?? '';
  };
  const known = (about: About) =>
    ratings.getSummary({ subject: { about } }).then(
      () => true,
      () => false,
    );
  const kinds: readonly ((n: number, productId: number) => Promise<unknown>)[] = [
    (n) => ratings.rateTalk({ talkId, value: 1 + (n % 5) }),
    async (n) => {
      const provider = { name: 'Bob', email: `bob${n}@example.com` };
      const { serviceProvider } = await ratings.createServiceProvider(provider);
      await create({ case: 'serviceProviderId', value: serviceProvider?.id ?? '' });
    },
    () => ratings.updateRating({ id: rated, value: 2 }),
    async (_, value) => {
      const about: About = { case: 'productId', value };
      await until(() => known(about));
      await create(about);
    },
  ];
  return (n: number, productId: number) => kinds[n % kinds.length]?.(n, productId);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const patience = AbortSignal.timeout(30_000);
  while (!(await condition())) await delay(20, patience);
}
