import { Code, ConnectError } from '@connectrpc/connect';
import { AdjustStockResponseSchema, StockService } from '@tradewind/contracts/stock/v1/stock';
import type { EntityManager } from '@tradewind/database/database';
import { idempotencyKey, once } from '@tradewind/messaging/idempotency';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { MOST } from '../stock.ts';
import { changeStock, insist } from './change-stock.ts';
import { unknownProduct } from './stock-message.ts';

/** Adds to what is left, or takes from it. */
export function adjustStock({
  database,
  newId,
}: Pick<ServiceDeps, 'database' | 'newId'>): Handler<typeof StockService.method.adjustStock> {
  return async (request, call) => {
    const { productId, delta } = request;
    const key = idempotencyKey(StockService.method.adjustStock, request, call);
    const adjust = (em: EntityManager) =>
      changeStock(em, productId, (ledger, stock) => {
        if (!stock) throw unknownProduct(productId);
        if (ledger.adjust(stock, newId(), Number(delta))) return stock;
        const limit = delta < 0n ? `only ${stock.quantity} are left` : `no more than ${MOST} can be there`;
        throw new ConnectError(`product ${productId}: ${limit}`, Code.FailedPrecondition);
      });
    return await insist(database, (em) =>
      once(em, key, AdjustStockResponseSchema, async () => ({ stock: await adjust(em) })),
    );
  };
}
