import { create } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { LockMode } from '@mikro-orm/core';
import {
  CreateProductRequestSchema,
  ProductService,
  UpdateProductResponseSchema,
} from '@tradewind/contracts/product/v1/product';
import { idempotencyKey, once } from '@tradewind/messaging/idempotency';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { noProduct } from '../no-product.ts';
import { Product } from '../product.ts';
import { tell } from '../product-facts.ts';
import { maskedFields } from '../product-fields.ts';
import { toMessage } from '../product-message.ts';

const method = ProductService.method.updateProduct;

/** Changes the masked fields. What changes nothing keeps the revision and tells nothing. */
export function updateProduct({
  database,
  clock,
  wake,
}: Pick<ServiceDeps, 'database' | 'clock' | 'wake'>): Handler<typeof method> {
  return async (request, call) => {
    const key = idempotencyKey(method, request, call);
    const values = request.product ?? create(CreateProductRequestSchema);
    const fields = maskedFields(values, request.updateMask?.paths ?? []);
    const response = await database.transaction((em) =>
      once(em, key, UpdateProductResponseSchema, async () => {
        const product = await em.findOne(
          Product,
          { id: request.id },
          { lockMode: LockMode.PESSIMISTIC_WRITE },
        );
        if (!product || product.deleted) throw noProduct(request.id);
        if (request.revision !== 0n && request.revision !== product.revision) {
          throw new ConnectError(
            `product ${product.id} has revision ${product.revision}, not ${request.revision}`,
            Code.Aborted,
          );
        }
        if (product.change(fields, clock())) {
          await em.flush();
          await tell(em, 'updated', product);
        }
        return { product: toMessage(product) };
      }),
    );
    wake();
    return response;
  };
}
