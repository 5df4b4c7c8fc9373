import { OrderCanceledSchema, OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import {
  ProductCreatedSchema,
  ProductDeletedSchema,
  ProductUpdatedSchema,
} from '@tradewind/contracts/product/v1/events';
import { StockExceededAmountSchema, StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import { StockService } from '@tradewind/contracts/stock/v1/stock';
import { idempotencyChores, idempotencySteps } from '@tradewind/messaging/idempotency';
import { on } from '@tradewind/messaging/subscription';
import { messagingSteps } from '@tradewind/messaging/tables';
import { implement } from '@tradewind/rpc/implement';
import { commonSettings, defineService } from '@tradewind/service/define';
import { stock } from './migrations/0001-stock.ts';
import { giveBack } from './on/order.canceled.ts';
import { reserveStock } from './on/order.created.ts';
import { productCreated } from './on/product.created.ts';
import { productDeleted } from './on/product.deleted.ts';
import { productUpdated } from './on/product.updated.ts';
import about from './package.json' with { type: 'json' };
import { adjustStock } from './rpc/adjust-stock.ts';
import { batchGetStock } from './rpc/batch-get-stock.ts';
import { getStock } from './rpc/get-stock.ts';
import { listEmptyStock } from './rpc/list-empty-stock.ts';
import { listStock } from './rpc/list-stock.ts';
import { setStock } from './rpc/set-stock.ts';
import { StockEntity } from './stock.ts';

/** The stock service's table of contents. */
export const service = defineService({
  name: 'stock',
  version: about.version,
  settings: commonSettings(50_051),
  schema: { entities: [StockEntity], steps: [...messagingSteps, ...idempotencySteps, stock] },
  tells: [StockReservedSchema, StockExceededAmountSchema],
  subscriptions: [
    on(OrderCreatedSchema, reserveStock),
    on(OrderCanceledSchema, giveBack),
    on(ProductCreatedSchema, productCreated),
    on(ProductUpdatedSchema, productUpdated),
    on(ProductDeletedSchema, productDeleted),
  ],
  routes: (deps) => [
    implement(StockService, {
      getStock: getStock(deps),
      batchGetStock: batchGetStock(deps),
      listStock: listStock(deps),
      listEmptyStock: listEmptyStock(deps),
      setStock: setStock(deps),
      adjustStock: adjustStock(deps),
    }),
  ],
  chores: idempotencyChores,
});
