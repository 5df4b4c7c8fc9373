import {
  ProductCreatedSchema,
  ProductDeletedSchema,
  ProductUpdatedSchema,
} from '@tradewind/contracts/product/v1/events';
import { ProductService } from '@tradewind/contracts/product/v1/product';
import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { StockService } from '@tradewind/contracts/stock/v1/stock';
import { idempotencyChores, idempotencySteps } from '@tradewind/messaging/idempotency';
import { on } from '@tradewind/messaging/subscription';
import { messagingSteps } from '@tradewind/messaging/tables';
import { createClient } from '@tradewind/rpc/client';
import { implement } from '@tradewind/rpc/implement';
import { defineService } from '@tradewind/service/define';
import { settings } from './config.ts';
import { GraphqlMetrics } from './graphql/measure.ts';
import { graphql } from './graphql/mount.ts';
import { product } from './migrations/0001-product.ts';
import { ratings } from './migrations/0002-ratings.ts';
import { countRating } from './on/ratings.ts';
import { ProductSchema } from './product.ts';
import { batchGetProducts } from './rpc/batch-get-products.ts';
import { createProduct } from './rpc/create-product.ts';
import { deleteProduct } from './rpc/delete-product.ts';
import { getProduct } from './rpc/get-product.ts';
import { listCategories } from './rpc/list-categories.ts';
import { listProducts } from './rpc/list-products.ts';
import { updateProduct } from './rpc/update-product.ts';

/** The catalogue: what it keeps, tells and answers. */
export const service = defineService({
  name: 'product',
  version: '0.1.0',
  settings,
  schema: { entities: [ProductSchema], steps: [...messagingSteps, ...idempotencySteps, product, ratings] },
  tells: [ProductCreatedSchema, ProductUpdatedSchema, ProductDeletedSchema],
  subscriptions: [on(RatedSchema, countRating)],
  metrics: [GraphqlMetrics],
  chores: idempotencyChores,
  routes: (deps) => [
    implement(ProductService, {
      createProduct: createProduct(deps),
      getProduct: getProduct(deps),
      batchGetProducts: batchGetProducts(deps),
      listProducts: listProducts(deps),
      listCategories: listCategories(deps),
      updateProduct: updateProduct(deps),
      deleteProduct: deleteProduct(deps),
    }),
  ],
  http:
    ({ config, logger, scope, metrics }) =>
    async (app, invoke) => {
      const client = scope.use(
        createClient(StockService, {
          baseUrl: config.STOCK_URL,
          metrics,
          retry: { attempts: 2, baseMs: 20 },
        }),
      );
      await graphql(app, { invoke, logger, metrics, stock: { client, timeoutMs: config.STOCK_TIMEOUT } });
    },
});
