import { LockMode } from '@mikro-orm/core';
import { DeleteProductResponseSchema, ProductService } from '@tradewind/contracts/product/v1/product';
import { idempotencyKey, once } from '@tradewind/messaging/idempotency';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { noProduct } from '../no-product.ts';
import { Product } from '../product.ts';
import { tell } from '../product-facts.ts';

const method = ProductService.method.deleteProduct;

/** Leaves a tombstone. Deleting again changes nothing and tells nothing. */
export function deleteProduct({
  database,
  clock,
  wake,
}: Pick<ServiceDeps, 'database' | 'clock' | 'wake'>): Handler<typeof method> {
  return async (request, call) => {
    const key = idempotencyKey(method, request, call);
    const response = await database.transaction((em) =>
      once(em, key, DeleteProductResponseSchema, async () => {
        const product = await em.findOne(
          Product,
          { id: request.id },
          { lockMode: LockMode.PESSIMISTIC_WRITE },
        );
        if (!product) throw noProduct(request.id);
        if (product.delete(clock())) {
          await em.flush();
          await tell(em, 'deleted', product);
        }
        return {};
      }),
    );
    wake();
    return response;
  };
}
