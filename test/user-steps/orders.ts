import { equal, eventually, must } from './check.ts';
import { asJson, curl, data, json, quoted } from './curl.ts';
import type { Shell } from './shell.ts';
import type { Ports } from './tradewind.ts';

export interface Order {
  readonly id: string;
  readonly status: string;
  readonly is_canceled: boolean;
  readonly reason: string;
}

/** The order, once the saga is over. */
export async function settled(shell: Shell, { order }: Ports, id: string, withinMs = 15_000): Promise<Order> {
  return await eventually(
    () => json<Order>(shell, `localhost:${order}/api/v1/orders/${id}`),
    ({ status }) => status !== 'PENDING',
    withinMs,
  );
}

/** Places an order of one line by curl; 201. */
export async function place(
  shell: Shell,
  { order }: Ports,
  productId: number,
  quantity: number,
): Promise<Order> {
  const body = { product_id: productId, total_price: 10_000, total_quantity: quantity };
  return await json<Order>(shell, `-X POST localhost:${order}/api/v1/orders ${asJson} ${data(body)}`, 201);
}

export async function left(shell: Shell, { stock }: Ports, productId: number): Promise<number> {
  const url = `localhost:${stock}/tradewind.stock.v1.StockService/GetStock`;
  const answer = await json<{ stock: { quantity?: string } }>(
    shell,
    `${asJson} ${data({ productId })} ${url}`,
  );
  // Connect's JSON leaves out what is 0.
  return Number(answer.stock.quantity ?? 0);
}

/** Puts pieces of a product in. */
export async function putIn(shell: Shell, { stock }: Ports, productId: number, delta: number): Promise<void> {
  const url = `localhost:${stock}/tradewind.stock.v1.StockService/AdjustStock`;
  await json(shell, `${url} ${asJson} ${data({ productId, delta })}`);
}

/** User step 2, with curl alone. */
export const orderSteps = (shell: Shell, ports: Ports) => ({
  async 'an order by curl: 201, then CONFIRMED, and stock is one less'() {
    const before = await left(shell, ports, 1);
    const line = '{"product_id":1,"total_price":10000,"total_quantity":1}';
    const placed = await json<Order>(
      shell,
      `-X POST localhost:${ports.order}/api/v1/orders -H 'content-type: application/json' -d ${quoted(line)}`,
      201,
    );
    equal(placed.status, 'PENDING');
    equal((await settled(shell, ports, placed.id)).status, 'CONFIRMED');
    equal(await left(shell, ports, 1), before - 1);
  },

  async 'an order for more than there is: CANCELED, is_canceled, with what was asked and left'() {
    const there = await left(shell, ports, 2);
    const asked = there + 7;
    const order = await settled(shell, ports, (await place(shell, ports, 2, asked)).id);
    equal([order.status, order.is_canceled], ['CANCELED', true]);
    must(order.reason.includes(String(asked)) && order.reason.includes(String(there)), order);
    equal(await left(shell, ports, 2), there);
  },

  async 'a confirmed order that is cancelled gives its stock back, once'() {
    const before = await left(shell, ports, 3);
    const { id } = await place(shell, ports, 3, 2);
    equal((await settled(shell, ports, id)).status, 'CONFIRMED');
    equal(await left(shell, ports, 3), before - 2);
    const url = `localhost:${ports.order}/api/v1/orders/${id}/cancel`;
    for (const _ of ['once', 'again']) {
      const order = await json<Order>(shell, `-X POST ${url}`);
      equal([order.status, order.is_canceled], ['CANCELED', true]);
    }
    await eventually(
      () => left(shell, ports, 3),
      (now) => now === before,
    );
  },

  async 'an unknown product: accepted, then CANCELED with that reason'() {
    const order = await settled(shell, ports, (await place(shell, ports, 99_999_999, 1)).id);
    equal(order.status, 'CANCELED');
    must(order.reason.includes('unknown product'), order);
  },

  async 'an Idempotency-Key: the first answer again, 409 for another body'() {
    const post = (quantity: number) =>
      `-X POST localhost:${ports.order}/api/v1/orders ${asJson} -H 'idempotency-key: user-step-${process.pid}-${Date.now()}' ${data({ product_id: 4, total_price: 300, total_quantity: quantity })}`;
    const first = post(3);
    equal(await json(shell, first, 201), await json(shell, first, 201));
    await json(shell, first.replace('"total_quantity":3', '"total_quantity":2'), 409);
  },

  async 'orders are listed page by page, the newest first'() {
    const { id } = await place(shell, ports, 5, 1);
    const page = (token: string) =>
      `'localhost:${ports.order}/api/v1/orders?page_size=2&page_token=${token}'`;
    const first = await json<{ orders: Order[]; next_page_token: string }>(shell, page(''));
    equal(first.orders[0]?.id, id);
    equal(first.orders.length, 2);
    const second = await json<{ orders: Order[] }>(shell, page(encodeURIComponent(first.next_page_token)));
    must(
      second.orders.every(({ id }) => !first.orders.some((order) => order.id === id)),
      second,
    );
  },

  async 'a client that accepts text gets "Order created"; /docs, /healthcheck, /health and /metrics are there'() {
    const { order } = ports;
    const text = await curl(
      shell,
      `-X POST localhost:${order}/api/v1/orders ${asJson} -H 'accept: text/plain' ${data({ product_id: 6, total_price: 1, total_quantity: 1 })}`,
    );
    equal([text.status, text.body.trim()], [201, 'Order created']);
    must(/location: \/api\/v1\/orders\//i.test(text.headers), text.headers);
    must((await curl(shell, `-L localhost:${order}/docs`)).body.includes('<html'), 'no docs page');
    for (const port of [ports.order, ports.product, ports.stock]) {
      const hello = await curl(shell, `localhost:${port}/healthcheck`);
      must(hello.status === 200 && hello.body.startsWith('OK v'), hello);
      for (const path of ['/health/live', '/health/ready', '/metrics'])
        equal([port, path, (await curl(shell, `localhost:${port}${path}`)).status], [port, path, 200]);
    }
  },
});
