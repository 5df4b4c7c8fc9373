import type { StockService } from '@tradewind/contracts/stock/v1/stock';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { stockPage } from './stock-page.ts';

/** Gives the stock of every product, page by page; of deleted ones only when they are asked for. */
export function listStock({
  database,
}: Pick<ServiceDeps, 'database'>): Handler<typeof StockService.method.listStock> {
  return (request) => stockPage(database, request, request.includeDeleted ? {} : { deleted: false });
}
