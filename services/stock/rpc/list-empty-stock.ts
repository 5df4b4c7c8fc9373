import type { StockService } from '@tradewind/contracts/stock/v1/stock';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { stockPage } from './stock-page.ts';

/** Gives the products that nothing is left of, page by page. */
export function listEmptyStock({
  database,
}: Pick<ServiceDeps, 'database'>): Handler<typeof StockService.method.listEmptyStock> {
  return (request) => stockPage(database, request, { quantity: 0, deleted: false });
}
