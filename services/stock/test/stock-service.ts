import type { ConnectError } from '@connectrpc/connect';
import { StockService } from '@tradewind/contracts/stock/v1/stock';
import { createClient } from '@tradewind/rpc/client';
import { violationsOf } from '@tradewind/rpc/failure';
import { startService, type TestServiceOptions } from '@tradewind/testing/service';
import { service } from '../service.ts';

/** The stock service with its generated client. */
export async function startStock(options?: TestServiceOptions) {
  const running = await startService(service, options);
  const client = createClient(StockService, { baseUrl: running.url });
  const query = async (sql: string, values: unknown[] = []) =>
    (await running.database.pool.query(sql, values)).rows;
  return {
    ...running,
    call: client.call,
    query,
    /** What is left of a product; undefined when nobody knows it. */
    async left(productId: number): Promise<number | undefined> {
      const [row] = await query('SELECT quantity FROM stock WHERE product_id = $1 AND NOT deleted', [
        productId,
      ]);
      return row && Number(row.quantity);
    },
    /** A product with so many pieces. */
    async put(productId: number, quantity: number): Promise<number> {
      await client.call.setStock({ productId, quantity: BigInt(quantity) });
      return productId;
    },
    /** Products whose columns are not what the ledger says. Must be none at any time. */
    unbalanced: () =>
      query(`
        SELECT product_id, quantity, put_in, moved, adjusted FROM stock FULL JOIN (
          SELECT product_id, sum(delta) AS moved, coalesce(sum(delta) FILTER (WHERE cause = 'adjustment'), 0) AS adjusted
          FROM movement GROUP BY product_id) AS ledger USING (product_id)
        WHERE quantity IS DISTINCT FROM coalesce(moved, 0) OR put_in IS DISTINCT FROM coalesce(adjusted, 0)`),
    async [Symbol.asyncDispose]() {
      await client.close();
      await running[Symbol.asyncDispose]();
    },
  };
}

export type TestStock = Awaited<ReturnType<typeof startStock>>;

/** How a call was refused. */
export async function refusal(call: Promise<unknown>) {
  const error = (await call.then(
    (answer) => {
      throw new Error(`it was not refused: ${String(answer)}`);
    },
    (error: unknown) => error,
  )) as ConnectError;
  return { code: error.code, fields: violationsOf(error).map(({ field }) => field) };
}
