import { SetStockResponseSchema, StockService } from '@tradewind/contracts/stock/v1/stock';
import type { EntityManager } from '@tradewind/database/database';
import { idempotencyKey, once } from '@tradewind/messaging/idempotency';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { changeStock, insist } from './change-stock.ts';

/** Makes what is left equal to a quantity, by an adjustment of the difference. */
export function setStock({
  database,
  newId,
}: Pick<ServiceDeps, 'database' | 'newId'>): Handler<typeof StockService.method.setStock> {
  return async (request, call) => {
    const { productId, quantity } = request;
    const key = idempotencyKey(StockService.method.setStock, request, call);
    const set = (em: EntityManager) =>
      changeStock(em, productId, (ledger, known) => {
        const stock = known ?? ledger.addStock(productId);
        ledger.adjust(stock, newId(), Number(quantity) - stock.quantity);
        return stock;
      });
    return await insist(database, (em) =>
      once(em, key, SetStockResponseSchema, async () => ({ stock: await set(em) })),
    );
  };
}
