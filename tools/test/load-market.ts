import { randomUUID } from 'node:crypto';
import { create, type DescService } from '@bufbuild/protobuf';
import { timestampDate, timestampNow } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import {
  type CreateOrderRequest,
  type Order,
  OrderSchema,
  OrderService,
  OrderStatus,
} from '@tradewind/contracts/order/v1/order';
import { ProductService } from '@tradewind/contracts/product/v1/product';
import { StockService } from '@tradewind/contracts/stock/v1/stock';
import type { Call } from '@tradewind/rpc/call';
import { type Handlers, implement } from '@tradewind/rpc/implement';
import { callOf } from '@tradewind/rpc/rest';
import { type Server, serve } from '@tradewind/rpc/serve';
import { pino } from 'pino';

type Goods = { quantity: number; putIn: number };
type NewLine = { productId: number; quantity: number; totalPrice: bigint };
type NewOrder = { customerId: string; lines: NewLine[] };

/** Some methods of a service; the others are UNIMPLEMENTED. */
function some<S extends DescService>(service: S, handlers: Partial<Handlers<S>>) {
  const others = service.methods.map(({ localName }) => [
    localName,
    async () => {
      throw new ConnectError('the market does not need this', Code.Unimplemented);
    },
  ]);
  return implement(service, { ...Object.fromEntries(others), ...handlers } as Handlers<S>);
}

/** A page by offset. */
function page<T>(items: readonly T[], { pageSize, pageToken }: { pageSize: number; pageToken: string }) {
  const from = Number(pageToken || 0);
  const to = from + (pageSize || 100);
  return { items: items.slice(from, to), nextPageToken: to < items.length ? String(to) : '' };
}

function newOrderOf({ customerId, lines }: CreateOrderRequest): NewOrder {
  return {
    customerId,
    lines: lines.map(({ productId, quantity, totalPrice = 0n }) => ({ productId, quantity, totalPrice })),
  };
}

/** The form of one line. */
type RestOrder = { customer_id: string; product_id: number; total_quantity: number; total_price: number };

function newOrderFrom({ customer_id, product_id, total_quantity, total_price }: RestOrder): NewOrder {
  const line = { productId: product_id, quantity: total_quantity, totalPrice: BigInt(total_price) };
  return { customerId: customer_id, lines: [line] };
}

/** What goes wrong; each `…Every: n` hits one order in n. */
export interface Misbehaviour {
  /** UNAVAILABLE before anything was done. */
  busyEvery?: number;
  /** The order is accepted, and then the connection is cut instead of answering. */
  hangUpEvery?: number;
  /** A repeat with the same key makes another order. */
  forgetsKeys?: boolean;
  /** Stays PENDING. */
  stuckEvery?: number;
  /** Answers INVALID_ARGUMENT. */
  refuseEvery?: number;
  /** Takes nothing from stock, and confirms. */
  oversellEvery?: number;
  /** Answers, and has no such order. */
  loseEvery?: number;
  /** Has two such orders, and answers with one. */
  doubleEvery?: number;
  /** Stores one piece more than was asked for. */
  changeEvery?: number;
}

/** A market in memory: product, order and stock by the contracts, on one port. It settles each order a moment after its creation. */
export class Market implements AsyncDisposable {
  readonly orders: Order[] = [];
  readonly goods: Map<number, Goods>;
  readonly catalogue: Set<number>;
  /** Products that only an audit is told of. */
  readonly deleted = new Set<number>();
  readonly faults: Misbehaviour;
  /** What a cancelled order gives back may be on its way. */
  giveBackMs = 0;
  readonly #answers = new Map<string, Order>();
  readonly #adjusted = new Set<string>();
  #created = 0;
  #server: Server | undefined;

  private constructor(products: number, pieces: number, faults: Misbehaviour) {
    this.goods = new Map(
      Array.from({ length: products }, (_, i) => [i + 1, { quantity: pieces, putIn: pieces }]),
    );
    this.catalogue = new Set(this.goods.keys());
    this.faults = faults;
  }

  static async open({
    products = 7,
    pieces = 100_000,
    ...faults
  }: Misbehaviour & { products?: number; pieces?: number } = {}) {
    const market = new Market(products, pieces, faults);
    market.#server = await serve({
      name: 'market',
      version: '0.0.0',
      host: '127.0.0.1',
      port: 0,
      implementations: [
        some(OrderService, market.#orderHandlers()),
        some(ProductService, market.#productHandlers()),
        some(StockService, market.#stockHandlers()),
      ],
      http: (app) => {
        app.post<{ Body: RestOrder }>('/api/v1/orders', async (request, reply) => {
          const cut = () => request.raw.socket.destroy();
          const { id, createdAt } = market.#create(newOrderFrom(request.body), callOf(request, reply), cut);
          const created = createdAt ? timestampDate(createdAt).toISOString() : '';
          return reply.code(201).send({ id, status: 'PENDING', created_at: created });
        });
      },
      health: { check: async () => ({ status: 'ready', dependencies: {} }) },
      logger: pino({ level: 'silent' }),
      limits: { drainDelayMs: 0 },
    });
    return market;
  }

  get addresses() {
    const url = this.#server?.url ?? '';
    return { orderUrl: url, productUrl: url, stockUrl: url };
  }

  async [Symbol.asyncDispose]() {
    await this.#server?.close();
  }

  #create(request: NewOrder, call: Call, cut: () => void): Order {
    const key = call.header('idempotency-key') ?? randomUUID();
    const answer = this.faults.forgetsKeys ? undefined : this.#answers.get(key);
    if (answer) return answer;
    this.#created += 1;
    if (this.#hit(this.faults.busyEvery))
      throw new ConnectError('busy', Code.Unavailable, { 'retry-after': '0' });
    if (this.#hit(this.faults.refuseEvery)) throw new ConnectError('no', Code.InvalidArgument);
    const order = this.#orderOf(request);
    this.#answers.set(key, order);
    if (!this.#hit(this.faults.loseEvery)) this.#store(order);
    if (this.#hit(this.faults.doubleEvery)) this.#store({ ...order, id: randomUUID() });
    if (this.#hit(this.faults.hangUpEvery)) {
      cut();
      throw new ConnectError('cut', Code.Unavailable);
    }
    return order;
  }

  #hit(every: number | undefined): boolean {
    return every !== undefined && this.#created % every === 0;
  }

  #orderOf({ customerId, lines }: NewOrder): Order {
    const more = this.#hit(this.faults.changeEvery) ? 1 : 0;
    const now = timestampNow();
    return create(OrderSchema, {
      id: randomUUID(),
      customerId,
      status: OrderStatus.PENDING,
      lines: lines.map((line) => ({ ...line, quantity: line.quantity + more })),
      totalPrice: lines.reduce((sum, { totalPrice }) => sum + totalPrice, 0n),
      currency: 'USD',
      createdAt: now,
      updatedAt: now,
      revision: 1n,
    });
  }

  #store(order: Order) {
    this.orders.unshift(order);
    const stuck = this.#hit(this.faults.stuckEvery);
    const free = this.#hit(this.faults.oversellEvery);
    if (!stuck) setTimeout(() => this.#settle(order, free), 5);
  }

  #settle(order: Order, free: boolean) {
    const line = order.lines[0];
    const goods = line && this.goods.get(line.productId);
    const enough = line !== undefined && goods !== undefined && goods.quantity >= line.quantity;
    if (enough && !free) goods.quantity -= line.quantity;
    order.status = enough ? OrderStatus.CONFIRMED : OrderStatus.CANCELED;
    order.updatedAt = timestampNow();
    order.revision += 1n;
  }

  /** The order is gone, and its goods are back. */
  drop(index: number) {
    const [order] = this.orders.splice(index, 1);
    if (order) this.cancel(order);
  }

  /** As a customer does. */
  cancel(order: Order) {
    order.status = OrderStatus.CANCELED;
    order.revision += 1n;
    setTimeout(() => {
      const line = order.lines[0];
      const goods = line && this.goods.get(line.productId);
      if (goods) goods.quantity += line.quantity;
    }, this.giveBackMs);
  }

  #orderHandlers(): Partial<Handlers<typeof OrderService>> {
    return {
      createOrder: async (request, call) => ({ order: this.#create(newOrderOf(request), call, () => {}) }),
      listOrders: async (request) => {
        const orders = this.orders.filter(({ status }) => request.status === 0 || status === request.status);
        const { items, nextPageToken } = page(orders, request);
        return { orders: items, nextPageToken };
      },
    };
  }

  #productHandlers(): Partial<Handlers<typeof ProductService>> {
    const products = () => [...this.catalogue].map((id) => ({ id }));
    return {
      listProducts: async (request) => {
        const { items, nextPageToken } = page(products(), request);
        return { products: items, nextPageToken };
      },
      batchGetProducts: async ({ ids }) => ({ products: products().filter(({ id }) => ids.includes(id)) }),
    };
  }

  #stockHandlers(): Partial<Handlers<typeof StockService>> {
    const stockOf = (productId: number) => {
      const goods = this.goods.get(productId);
      if (!goods) throw new ConnectError('no such product', Code.NotFound);
      return { productId, quantity: BigInt(goods.quantity), putIn: BigInt(goods.putIn) };
    };
    return {
      getStock: async ({ productId }) => ({ stock: stockOf(productId) }),
      listStock: async (request) => {
        const listed = [...this.goods.keys()].filter((id) => request.includeDeleted || !this.deleted.has(id));
        const { items, nextPageToken } = page(listed, request);
        return { stocks: items.map(stockOf), nextPageToken };
      },
      adjustStock: async ({ productId, delta }, call) => {
        const key = call.header('idempotency-key') ?? randomUUID();
        const goods = this.goods.get(productId);
        if (goods && !this.#adjusted.has(key)) {
          goods.quantity += Number(delta);
          goods.putIn += Number(delta);
          this.#adjusted.add(key);
        }
        return { stock: stockOf(productId) };
      },
    };
  }
}
