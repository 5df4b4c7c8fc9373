import type { StockService } from '@tradewind/contracts/stock/v1/stock';
import type { Call } from '@tradewind/rpc/call';
import { type Client, onBehalfOf } from '@tradewind/rpc/client';
import DataLoader from 'dataloader';
import { toInt } from './int.ts';

export interface StockSource {
  readonly client: Client<typeof StockService>;
  /** How long an answer waits for stock at most. */
  readonly timeoutMs: number;
}

/** Products that BatchGetStock takes in one call. */
const CHUNK = 1_000;

/**
 * What is left of products, for one HTTP request: asked in one call once all lists of the request have been read, however many there
 * are. Null for a product that stock does not know; rejects when stock can't be reached in time.
 * @param settled resolves when nothing is being read that may bring more products
 */
export function stockLevels(
  { client, timeoutMs }: StockSource,
  call: () => Call,
  settled: () => Promise<void>,
): DataLoader<number, number | null> {
  return new DataLoader(
    async (ids) => {
      const { stocks } = await client.call.batchGetStock(
        { productIds: [...ids] },
        onBehalfOf(call(), timeoutMs),
      );
      const quantities = new Map(stocks.map(({ productId, quantity }) => [productId, quantity]));
      return ids.map((id) => {
        const quantity = quantities.get(id);
        return quantity === undefined ? null : toInt(quantity);
      });
    },
    { maxBatchSize: CHUNK, batchScheduleFn: (ask) => void settled().then(ask) },
  );
}
