import { OrderCanceledSchema, OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { OrderService, type OrderStatus } from '@tradewind/contracts/order/v1/order';
import { StockService } from '@tradewind/contracts/stock/v1/stock';
import { createClient } from '@tradewind/rpc/client';
import { behind } from '@tradewind/testing/events';
import { startService, type TestServiceOptions } from '@tradewind/testing/service';
import { expect } from 'vitest';
import { service as orderService } from '../services/order/service.ts';
import { service as stockService } from '../services/stock/service.ts';

export interface SagaOptions {
  readonly order?: TestServiceOptions;
  readonly stock?: TestServiceOptions;
}

/** Order and stock on one log, as they are in production but for the processes, with what a test says and asks. */
export async function startSaga(options: SagaOptions = {}) {
  await using scope = new AsyncDisposableStack();
  const order = scope.use(await startService(orderService, options.order));
  const stock = scope.use(await startService(stockService, { logUrl: order.logUrl, ...options.stock }));
  const orders = scope.use(createClient(OrderService, { baseUrl: order.url })).call;
  const stocks = scope.use(createClient(StockService, { baseUrl: stock.url })).call;
  const kept = scope.move();
  const count = async (service: typeof order, sql: string) =>
    Number((await service.database.pool.query(sql)).rows[0]?.count);
  return {
    order,
    stock,
    orders,
    stocks,
    put: (productId: number, quantity: number) => stocks.setStock({ productId, quantity: BigInt(quantity) }),
    async left(productId: number): Promise<number> {
      return Number((await stocks.getStock({ productId })).stock?.quantity);
    },
    async place(...lines: readonly (readonly [productId: number, quantity: number])[]): Promise<string> {
      const given = lines.map(([productId, quantity]) => ({ productId, quantity, unitPrice: 100n }));
      const { order: placed } = await orders.createOrder({ lines: given });
      if (!placed) throw new Error('no order');
      return placed.id;
    },
    async show(id: string) {
      const { order: found } = await orders.getOrder({ id });
      if (!found) throw new Error('no order');
      return found;
    },
    cancel: (id: string) => orders.cancelOrder({ id }),
    /** Waits until an order has this status. */
    async settled(id: string, status: OrderStatus): Promise<void> {
      const now = async () => (await orders.getOrder({ id })).order?.status;
      await expect.poll(now, { timeout: 15_000 }).toBe(status);
    },
    /** Waits until nothing is on its way any more. */
    async atRest(): Promise<void> {
      const onTheWay = async () => [
        await behind(order.log, 'stock', OrderCreatedSchema, OrderCanceledSchema),
        await behind(order.log, 'order', ...stockService.tells),
        await count(order, 'SELECT count(*) FROM outbox'),
        await count(stock, 'SELECT count(*) FROM outbox'),
      ];
      // Twice, for a fact may be between an outbox and the log while the first look is taken.
      const twice = async () => [await onTheWay(), await onTheWay()];
      const rest = [0, 0, 0, 0];
      await expect.poll(twice, { timeout: 25_000 }).toEqual([rest, rest]);
    },
    /** Products whose columns are not what their movements say. Must be none at any time. */
    async unbalanced() {
      const { rows } = await stock.database.pool.query(`
        SELECT product_id, quantity, put_in, moved, adjusted FROM stock FULL JOIN (
          SELECT product_id, sum(delta) AS moved, coalesce(sum(delta) FILTER (WHERE cause = 'adjustment'), 0) AS adjusted
          FROM movement GROUP BY product_id) AS ledger USING (product_id)
        WHERE quantity IS DISTINCT FROM coalesce(moved, 0) OR put_in IS DISTINCT FROM coalesce(adjusted, 0)`);
      return rows;
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

export type Saga = Awaited<ReturnType<typeof startSaga>>;
