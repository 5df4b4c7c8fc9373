import { OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { append, recordOf } from '@tradewind/testing/events';
import { freePort } from '@tradewind/testing/port';
import { startService, type TestService } from '@tradewind/testing/service';
import { v7 } from 'uuid';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { service as orderService } from '../../services/order/service.ts';
import { service as stockService } from '../../services/stock/service.ts';
import { UsageError } from '../load/command-line.ts';
import { parseSaga } from '../saga/command-line.ts';
import { type Environment, runTool, startTool } from './tool-process.ts';

vi.setConfig({ testTimeout: 120_000 });

let order: TestService;
let stock: TestService;
let env: Environment;
beforeAll(async () => {
  const port = await freePort();
  order = await startService(orderService, {
    env: { STOCK_URL: `http://127.0.0.1:${port}`, SAGA_LATE_AFTER: '1ms', ORDER_SWEEP_AFTER: '1d' },
  });
  stock = await startService(stockService, {
    logUrl: order.logUrl,
    env: { PORT: String(port), RETRY_ATTEMPTS: '1' },
  });
  env = { ORDER_PORT: new URL(order.url).port };
});
afterAll(async () => {
  await stock?.[Symbol.asyncDispose]();
  await order?.[Symbol.asyncDispose]();
});

async function place(quantity = 1): Promise<string> {
  const response = await fetch(`${order.url}/api/v1/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: `{"product_id":1,"total_price":100,"total_quantity":${quantity}}`,
  });
  return ((await response.json()) as { id: string }).id;
}
const stateOf = async (id: string) =>
  ((await (await fetch(`${order.url}/api/v1/orders/${id}/saga`)).json()) as { state: string }).state;
const saga = (...args: string[]) => runTool('saga', args, env);

test('a settled saga is drawn, or given as JSON, and all is well', async () => {
  const id = await place();
  await expect.poll(() => stateOf(id)).toBe('SETTLED');
  const drawn = await saga(id);
  expect(drawn).toMatchObject({ code: 0, err: '' });
  expect(drawn.out).toMatch(new RegExp(`^order ${id} is CANCELED: unknown product 1\nsaga SETTLED`));
  expect(drawn.out).toMatch(/order\.created +order → stock +▕.*▏ +HANDLED/);
  expect(drawn.out).toMatch(/order\.canceled +order → stock +▕.*▏ +HANDLED/);
  expect(drawn.out).toMatch(/trace [0-9a-f]{32}/);
  const json = await runTool('saga', [id, '--json', '--url', `${order.url}/`], {});
  expect(json.code).toBe(0);
  const rest = await (await fetch(`${order.url}/api/v1/orders/${id}/saga`)).json();
  expect({ ...JSON.parse(json.out), observed_at: '' }).toEqual({ ...rest, observed_at: '' });
});

test('a dead letter is named with the command to go on with, until it is settled: then the watch ends', async () => {
  await stock.database.pool.query(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION E'the \\x1b[31mshelf is broken'; END $$`);
  await stock.database.pool.query(
    'CREATE TRIGGER refuse BEFORE INSERT ON reservation FOR EACH ROW EXECUTE FUNCTION refuse()',
  );
  const id = await place();
  await expect.poll(() => stateOf(id)).toBe('DEAD_LETTERED');
  const { code, out } = await saga(id);
  expect(code).toBe(1);
  expect(out).toMatch(/saga DEAD LETTERED, \S+ (ms|s) late: for/);
  expect(out).toMatch(/order\.created +order → stock +▕.*×▏ +DEAD LETTERED/);
  expect(out).toMatch(/\nfrom +a person\n/);
  expect(out).toContain('npm run dlq -- show order.created.dlq/0/0, mend the cause');
  expect(out).toMatch(/\n {4}npm run dlq -- show order\.created\.dlq\/0\/0\n$/);
  // Its words may quote anything, and are told to whoever runs the system alone.
  expect(out).not.toContain('shelf is broken');
  await using watching = startTool('saga', [id, '--watch', '--traces', 'https://jaeger.example'], env);
  await expect.poll(() => watching.out()).toContain('DEAD LETTERED');
  await stock.database.pool.query('DROP TRIGGER refuse ON reservation');
  await fetch(`${order.url}/api/v1/orders/${id}/cancel`, { method: 'POST' });
  const ended = await watching.ended;
  expect(ended.code).toBe(0);
  expect(ended.out).toMatch(/saga SETTLED[\s\S]*dead letters\n {2}order\.created\.dlq\/0\/0 {2}OPEN/);
  // Text of strangers does not move the cursor.
  const { headers, ...record } = recordOf(OrderCreatedSchema, { orderId: id });
  await append(order.log, { ...record, headers: { ...headers, ce_source: 'a \x1b[31mstranger' } });
  expect((await saga(id)).out).toContain('a \uFFFD[31mstranger');
  await using endless = startTool('saga', [await place(), '--watch'], env);
  expect((await endless.ended).code).toBe(0);
});

test('what waits for too long is not well, whoever is to blame', async () => {
  await stock.stop();
  const id = await place();
  const { code, out } = await saga(id);
  expect(code).toBe(1);
  expect(out).toMatch(/saga WAITING, .* late/);
  expect(out).toMatch(/\nfrom +stock\n/);
  expect(out).toMatch(/\nnot known\n {2}stock: it can't be asked/);
  await using watching = startTool('saga', [id, '--watch'], env);
  await expect.poll(() => watching.out()).toContain('WAITING');
  watching.interrupt();
  expect((await watching.ended).code).toBe(130);
});

test('no such order and nobody to ask end with 3, a wrong command line with 2', async () => {
  const nobody = v7();
  expect(await saga(nobody)).toMatchObject({ code: 3, out: '', err: `there is no order ${nobody}\n` });
  const away = await runTool('saga', [nobody], { ORDER_PORT: String(await freePort()) });
  expect(away).toMatchObject({ code: 3, out: '', err: expect.stringContaining('npm run doctor') });
  expect(await saga('7')).toMatchObject({
    code: 2,
    err: expect.stringContaining('npm run saga -- <order id>'),
  });
  for (const args of [[], [nobody, nobody], [nobody, '--what'], [nobody, '--url', 'here']])
    expect(() => parseSaga(args, {}), args.join(' ')).toThrow(UsageError);
  expect((await saga('--help')).out).toContain('Exit codes: 0');
  expect(parseSaga([nobody], { ORDER_URL: 'http://a:1/' })).toMatchObject({ options: { url: 'http://a:1' } });
});
