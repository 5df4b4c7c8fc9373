import { CreateProductResponseSchema, ProductService } from '@tradewind/contracts/product/v1/product';
import { idempotencyKey, once } from '@tradewind/messaging/idempotency';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { Product } from '../product.ts';
import { tell } from '../product-facts.ts';
import { fieldsOf } from '../product-fields.ts';
import { toMessage } from '../product-message.ts';

const method = ProductService.method.createProduct;

/** The product and its fact, in one transaction. */
export function createProduct({
  database,
  clock,
  wake,
}: Pick<ServiceDeps, 'database' | 'clock' | 'wake'>): Handler<typeof method> {
  return async (request, call) => {
    const key = idempotencyKey(method, request, call);
    const response = await database.transaction((em) =>
      once(em, key, CreateProductResponseSchema, async () => {
        const product = Product.of(fieldsOf(request), clock());
        await em.persist(product).flush();
        await tell(em, 'created', product);
        return { product: toMessage(product) };
      }),
    );
    wake();
    return response;
  };
}
