import { OrderCanceledSchema, OrderConfirmedSchema } from '@tradewind/contracts/order/v1/events';
import { OrderStatus as Status } from '@tradewind/contracts/order/v1/order';
import { eventsOf } from '@tradewind/testing/events';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Market, openMarket } from './property-market.ts';

// PROPERTY_RUNS=5000 for a long run; PROPERTY_SEED and PROPERTY_PATH, as a failure prints them, for the same run again.
const RUNS = Number(process.env.PROPERTY_RUNS ?? 0);
const SEED = Number(process.env.PROPERTY_SEED ?? Math.floor(Math.random() * 2 ** 31));
const PATH = process.env.PROPERTY_PATH;
const LIMIT_MS = 40_000;

let market: Market;
beforeAll(async () => {
  market = await openMarket();
});
afterAll(() => market?.[Symbol.asyncDispose]());

const place = fc.double({ min: 0, max: 0.999, noNaN: true });
const command = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('create'),
      product: fc.nat(1),
      pieces: fc.integer({ min: 1, max: 6 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('cancel'), order: place }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('restock'),
      product: fc.nat(1),
      pieces: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('deliver'),
      picks: fc.array(place, { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('repeat'), pick: place, anew: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('poison'), order: place }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('replay') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('redrive'), heal: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash'), which: fc.nat(1) }) },
);
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;

/** What must come out, whatever happened on the way. */
class Model {
  readonly orders: {
    readonly id: string;
    readonly product: number;
    readonly pieces: number;
    canceled: boolean;
  }[] = [];
  readonly putIn = new Map<number, number>();
  /** What each product had before anybody ordered it. */
  readonly atFirst = new Map<number, number>();

  put(product: number, pieces: number): void {
    this.putIn.set(product, (this.putIn.get(product) ?? 0) + pieces);
  }

  /** Whether the order must stand, must not, or depends on who was first. */
  fate({ product, pieces, canceled }: Model['orders'][number]): 'stands' | 'canceled' | 'open' {
    if (canceled || pieces > (this.putIn.get(product) ?? 0)) return 'canceled';
    const asked = this.orders
      .filter((order) => order.product === product)
      .reduce((sum, order) => sum + order.pieces, 0);
    return asked <= (this.atFirst.get(product) ?? 0) ? 'stands' : 'open';
  }
}

let nextProduct = 1;

async function play(commands: readonly Command[], firstStock: number): Promise<Model> {
  const model = new Model();
  const products = [nextProduct++, nextProduct++];
  const productAt = (n: number) => products[n] ?? 0;
  market.forget();
  for (const product of products) {
    await market.stocks.setStock({ productId: product, quantity: BigInt(firstStock) });
    model.put(product, firstStock);
    model.atFirst.set(product, firstStock);
  }
  const orderAt = (at: number) => model.orders[Math.floor(at * model.orders.length)];
  const act: { [Do in Command['do']]: (command: Command & { do: Do }) => Promise<unknown> } = {
    create: async ({ product, pieces }) => {
      const lines = [{ productId: productAt(product), quantity: pieces, unitPrice: 1n }];
      const { order } = await market.orders.createOrder({ lines });
      model.orders.push({ id: order?.id ?? '', product: productAt(product), pieces, canceled: false });
    },
    cancel: async ({ order: at }) => {
      const order = orderAt(at);
      if (!order) return;
      const { order: shown } = await market.orders.cancelOrder({ id: order.id });
      expect(shown?.status).toBe(Status.CANCELED);
      order.canceled = true;
    },
    restock: async ({ product, pieces }) => {
      await market.stocks.adjustStock({ productId: productAt(product), delta: BigInt(pieces) });
      model.put(productAt(product), pieces);
    },
    deliver: ({ picks }) => market.deliver(picks),
    repeat: ({ pick, anew }) => market.repeat(pick, anew),
    replay: () => market.replay(),
    poison: async ({ order: at }) => market.poison(orderAt(at)?.id ?? NOBODY),
    redrive: async ({ heal }) => {
      if (heal) await market.heal();
      await market.redrive();
    },
    crash: async ({ which }) => market.crash(which),
  };
  for (const command of commands) await (act[command.do] as (command: Command) => Promise<unknown>)(command);
  await market.heal();
  await market.settle();
  return model;
}
const NOBODY = '00000000-0000-7000-8000-000000000000';

async function judge(model: Model): Promise<void> {
  const ids = model.orders.map(({ id }) => id);
  const shown = await Promise.all(ids.map(async (id) => (await market.orders.getOrder({ id })).order));
  const reservations = await market.stock.database.pool.query<{ order_id: string; outcome: string }>(
    'SELECT order_id, outcome FROM reservation WHERE order_id = ANY($1)',
    [ids],
  );
  const outcomes = new Map(reservations.rows.map((row) => [row.order_id, row.outcome]));
  const confirmed = Map.groupBy(
    await eventsOf(market.order.log, OrderConfirmedSchema),
    ({ orderId }) => orderId,
  );
  const canceled = Map.groupBy(
    await eventsOf(market.order.log, OrderCanceledSchema),
    ({ orderId }) => orderId,
  );
  const held = new Map<number, number>();
  for (const [n, order] of model.orders.entries()) {
    const { status, reason = '', revision } = shown[n] ?? {};
    const stands = status === Status.CONFIRMED;
    // The end: no order waits, and each is what its customer and stock made of it.
    expect(status, `order ${n} ends`).not.toBe(Status.PENDING);
    const fate = model.fate(order);
    if (fate !== 'open') expect(stands ? 'stands' : 'canceled', `order ${n}`).toBe(fate);
    const byStock = outcomes.get(order.id) === 'exceeded';
    if (!stands && !order.canceled) expect(reason, `order ${n}`).toMatch(/^product \d+: asked/);
    expect(outcomes.get(order.id), `stock of order ${n}`).toMatch(
      stands ? /^reserved$/ : /^(exceeded|released|canceled-before-created)$/,
    );
    if (byStock) expect(stands).toBe(false);
    // Each change was told once, and nothing else.
    const facts = [confirmed.get(order.id)?.length ?? 0, canceled.get(order.id)?.length ?? 0];
    expect(facts, `facts of order ${n}`).toEqual(stands ? [1, 0] : [Number(revision) - 2, 1]);
    if (stands) held.set(order.product, (held.get(order.product) ?? 0) + order.pieces);
  }
  await judgeLedger(model, held);
}

/** put in = left + what orders hold that are not canceled; never below zero; one movement per cause and product. */
async function judgeLedger(model: Model, held: ReadonlyMap<number, number>): Promise<void> {
  for (const [product, putIn] of model.putIn) {
    const { rows } = await market.stock.database.pool.query(
      `SELECT quantity::int, put_in::int, (SELECT coalesce(sum(delta), 0)::int FROM movement WHERE product_id = $1) AS moved
       FROM stock WHERE product_id = $1`,
      [product],
    );
    const quantity = putIn - (held.get(product) ?? 0);
    expect(rows[0], `product ${product}`).toMatchObject({ quantity, put_in: putIn, moved: quantity });
    expect(rows[0].quantity, `product ${product}`).toBeGreaterThanOrEqual(0);
  }
}

test(
  'whatever is created, canceled, put in, delayed, reordered, repeated, crashed and redriven: nothing is lost, doubled or stuck',
  async () => {
    let runs = 0;
    let steps = 0;
    const done: Record<string, number> = {};
    console.info(`PROPERTY_SEED=${SEED}`);
    const property = fc.asyncProperty(
      fc.array(command, { minLength: 5, maxLength: 25 }),
      fc.integer({ min: 3, max: 40 }),
      async (commands, firstStock) => {
        await judge(await play(commands, firstStock));
        runs++;
        steps += commands.length;
        for (const command of commands) done[command.do] = (done[command.do] ?? 0) + 1;
      },
    );
    await fc.assert(property, {
      seed: SEED,
      numRuns: RUNS || 100,
      // A machine that is busy plays fewer of them.
      ...(!RUNS && { interruptAfterTimeLimit: LIMIT_MS }),
      ...(PATH !== undefined && { path: PATH }),
    });
    console.info(`${runs} runs of ${steps} steps in all: ${JSON.stringify(done)}`);
    if (!PATH) expect(runs).toBeGreaterThanOrEqual(10);
  },
  RUNS ? 3_600_000 : 120_000,
);
