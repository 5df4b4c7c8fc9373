import type { StockService } from '@tradewind/contracts/stock/v1/stock';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { Stock } from '../stock.ts';
import { stockMessage, unknownProduct } from './stock-message.ts';

/** Gives one product's stock. A deleted product is not known any more. */
export function getStock({
  database,
}: Pick<ServiceDeps, 'database'>): Handler<typeof StockService.method.getStock> {
  return async ({ productId }) => {
    const stock = await database.read().findOne(Stock, { productId, deleted: false });
    if (!stock) throw unknownProduct(productId);
    return { stock: stockMessage(stock) };
  };
}
