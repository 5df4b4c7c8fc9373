import type { ProductService } from '@tradewind/contracts/product/v1/product';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { noProduct } from '../no-product.ts';
import { Product } from '../product.ts';
import { toMessage } from '../product-message.ts';

export function getProduct({
  database,
}: Pick<ServiceDeps, 'database'>): Handler<typeof ProductService.method.getProduct> {
  return async ({ id }) => {
    const product = await database.read().findOne(Product, { id, deletedAt: null });
    if (!product) throw noProduct(id);
    return { product: toMessage(product) };
  };
}
