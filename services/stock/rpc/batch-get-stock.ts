import type { StockService } from '@tradewind/contracts/stock/v1/stock';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { Stock } from '../stock.ts';
import { stockMessage } from './stock-message.ts';

/** Gives the stock of many products; those that stock does not know are left out. */
export function batchGetStock({
  database,
}: Pick<ServiceDeps, 'database'>): Handler<typeof StockService.method.batchGetStock> {
  return async ({ productIds }) => {
    const wanted = { productId: { $in: [...new Set(productIds)] }, deleted: false };
    const stocks = await database.read().find(Stock, wanted, { orderBy: { productId: 'asc' } });
    return { stocks: stocks.map(stockMessage) };
  };
}
