import { OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { StockExceededAmountSchema } from '@tradewind/contracts/stock/v1/events';
import { topicOf } from '@tradewind/messaging/contract';
import { append, deadLettersOf, eventsOf, recordOf } from '@tradewind/testing/events';
import { type Broker, startBroker } from '@tradewind/testing/kafka';
import { startService, type TestService } from '@tradewind/testing/service';
import { v7 } from 'uuid';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { service as orderService } from '../../services/order/service.ts';
import { service as stockService } from '../../services/stock/service.ts';
import type { DoctorReport } from '../doctor/report.ts';
import { type Environment, runTool, startTool } from './tool-process.ts';

// dlq and doctor on Kafka. A broker of its own, for the topics are the product's, and it is killed in the end.
vi.setConfig({ testTimeout: 180_000 });

let broker: Broker;
let order: TestService;
let stock: TestService;
let env: Environment;
const scope = new AsyncDisposableStack();
beforeAll(async () => {
  broker = scope.use(await startBroker());
  order = scope.use(await startService(orderService, { logUrl: broker.url, listen: false }));
  stock = scope.use(await startService(stockService, { logUrl: broker.url }));
  env = {
    EVENT_LOG_URL: broker.url,
    ORDER_URL: order.url,
    STOCK_URL: stock.url,
    ORDER_DATABASE_URL: order.databaseUrl,
    STOCK_DATABASE_URL: stock.databaseUrl,
  };
}, 180_000);
afterAll(() => scope.disposeAsync());

const dlq = (...args: string[]) => runTool('dlq', args, env);
async function doctor(...args: string[]): Promise<DoctorReport> {
  const { out } = await runTool('doctor', ['--json', '--data', '/nonexistent', ...args], env);
  return JSON.parse(out) as DoctorReport;
}
const letters = () => deadLettersOf(order.log, OrderCreatedSchema);
const created = topicOf(OrderCreatedSchema).name;
async function poison(): Promise<{ id: string; orderId: string }> {
  const [id, orderId] = [v7(), v7()];
  await append(order.log, recordOf(OrderCreatedSchema, { orderId, revision: 1n }, id));
  await expect.poll(async () => (await letters()).map(({ headers }) => headers.ce_id)).toContain(id);
  return { id, orderId };
}
async function place(): Promise<string> {
  const response = await fetch(`${order.url}/api/v1/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"product_id":1,"total_price":100,"total_quantity":1}',
  });
  return ((await response.json()) as { id: string }).id;
}

test('letters are listed, shown, corrected and redriven once, and discarded', async () => {
  const { id, orderId } = await poison();
  expect((await dlq('list')).out).toMatch(
    new RegExp(`open +stock +undecodable +order\\.created\\.dlq/0/0 .*${id}`),
  );
  expect((await dlq('show', `${created}.dlq/0/0`)).out).toContain(id);
  expect((await dlq('redrive', id)).out).toMatch(/1 dead again; 1 record sent/);
  const payload = `{"order_id":"${orderId}","lines":[{"product_id":7,"quantity":3,"total_price":"5"}],"total_price":"5"}`;
  const corrected = await dlq('redrive', id, '--value', payload);
  expect(corrected.out).toMatch(/1 handled; 1 corrected record sent/);
  expect(corrected.code).toBe(0);
  expect((await dlq('redrive', id)).out).toMatch(/1 already handled; 0 records sent/);
  const answers = async () =>
    (await eventsOf(order.log, StockExceededAmountSchema)).filter((event) => event.orderId === orderId);
  await expect.poll(answers).toHaveLength(1);

  const other = await poison();
  expect((await dlq('discard', other.id)).out).toMatch(/1 discarded; 1 record sent/);
  expect((await dlq('redrive', '--all')).out).toMatch(/nothing to redrive/);
});

test('watch tells of what comes', async () => {
  await using watching = startTool('dlq', ['watch', '--json'], env);
  await expect.poll(watching.err).toMatch(/watching/);
  const { id } = await poison();
  await expect.poll(watching.out).toContain(id);
  watching.interrupt();
  expect((await watching.ended).code).toBe(0);
  expect((await dlq('discard', id)).code).toBe(0);
});

test('the doctor finds the event of an order on Kafka, and says when Kafka is away', async () => {
  await stock.stop();
  const id = await place();
  const unread = async () =>
    (await doctor('--pending-after', '0', '--lag-after', '0', '--patience', '20s')).pending_orders.orders;
  await expect
    .poll(unread, { timeout: 60_000 })
    .toMatchObject([{ id, where: { at: 'topic', group: 'stock', topic: created, ahead: 0 } }]);
  broker.hold();
  const silent = await doctor('--patience', '1s');
  expect(silent.log).toMatchObject({ reachable: false });
  broker.release();
  await broker.kill();
  const away = await doctor('--pending-after', '0');
  expect(away.log).toMatchObject({ reachable: false });
  expect(away.problems[0]).toMatchObject({ about: 'event log' });
  const { code, err } = await dlq('list');
  expect(code).toBe(1);
  expect(err).toMatch(/EVENT_LOG_URL/);
});
