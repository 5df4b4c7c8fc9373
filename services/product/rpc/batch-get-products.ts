import type { ProductService } from '@tradewind/contracts/product/v1/product';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { Product } from '../product.ts';
import { toMessage } from '../product-message.ts';

export function batchGetProducts({
  database,
}: Pick<ServiceDeps, 'database'>): Handler<typeof ProductService.method.batchGetProducts> {
  return async ({ ids }) => {
    const wanted = { id: { $in: [...new Set(ids)] }, deletedAt: null };
    const products = await database.read().find(Product, wanted, { orderBy: { id: 'asc' } });
    return { products: products.map(toMessage) };
  };
}
