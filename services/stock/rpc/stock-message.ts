import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import type { StockSchema } from '@tradewind/contracts/stock/v1/stock';
import type { Stock } from '../stock.ts';

/** A product's stock as the contract shows it. */
export function stockMessage({
  productId,
  quantity,
  putIn,
  updatedAt,
  revision,
  deleted,
}: Stock): MessageInitShape<typeof StockSchema> {
  return {
    productId,
    quantity: BigInt(quantity),
    putIn: BigInt(putIn),
    updatedAt: timestampFromDate(updatedAt),
    revision: BigInt(revision),
    deleted,
  };
}

/** NOT_FOUND for a product that stock does not know. */
export function unknownProduct(productId: number): ConnectError {
  return new ConnectError(`stock does not know product ${productId}`, Code.NotFound);
}
