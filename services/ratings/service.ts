import {
  ProductCreatedSchema,
  ProductDeletedSchema,
  ProductUpdatedSchema,
} from '@tradewind/contracts/product/v1/events';
import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import { idempotencyChores, idempotencySteps } from '@tradewind/messaging/idempotency';
import { on } from '@tradewind/messaging/subscription';
import { messagingSteps } from '@tradewind/messaging/tables';
import { implement } from '@tradewind/rpc/implement';
import { defineService } from '@tradewind/service/define';
import { openReading } from './backends.ts';
import { settings } from './config.ts';
import { ratings } from './migrations/0001-ratings.ts';
import { projection } from './migrations/0002-projection.ts';
import { productCreated } from './on/product.created.ts';
import { productDeleted } from './on/product.deleted.ts';
import { productUpdated } from './on/product.updated.ts';
import { countRating } from './on/ratings.ts';
import about from './package.json' with { type: 'json' };
import { CustomerEntity, ServiceProviderEntity } from './people.ts';
import { RatingEntity } from './rating.ts';
import { Ratings } from './ratings.ts';
import { rebuild } from './rebuild.ts';
import { ProjectionMetrics, projectionGauges } from './redis/projection-metrics.ts';
import { projectCounts } from './redis/wiring.ts';
import { restRoutes } from './rest/routes.ts';
import { batchGetSummaries } from './rpc/batch-get-summaries.ts';
import { createCustomer } from './rpc/create-customer.ts';
import { createRating } from './rpc/create-rating.ts';
import { createServiceProvider } from './rpc/create-service-provider.ts';
import { createTalk } from './rpc/create-talk.ts';
import { getCustomer } from './rpc/get-customer.ts';
import { getRating } from './rpc/get-rating.ts';
import { getServiceProvider } from './rpc/get-service-provider.ts';
import { getSummary } from './rpc/get-summary.ts';
import { getTalkStatistics } from './rpc/get-talk-statistics.ts';
import { listRatings } from './rpc/list-ratings.ts';
import { listTalks } from './rpc/list-talks.ts';
import { rateTalk } from './rpc/rate-talk.ts';
import { updateRating } from './rpc/update-rating.ts';
import { StatisticsMetrics } from './statistics/metrics.ts';
import { SubjectEntity } from './subjects.ts';

const { version } = about;

/** The ratings service's table of contents. */
export const service = defineService({
  name: 'ratings',
  version,
  settings,
  schema: {
    entities: [RatingEntity, SubjectEntity, CustomerEntity, ServiceProviderEntity],
    steps: [...messagingSteps, ...idempotencySteps, ratings, projection],
  },
  tells: [RatedSchema],
  subscriptions: [
    on(RatedSchema, countRating),
    on(ProductCreatedSchema, productCreated),
    on(ProductUpdatedSchema, productUpdated),
    on(ProductDeletedSchema, productDeleted),
  ],
  routes: (deps) => {
    const reading = openReading(deps);
    return [
      implement(RatingsService, {
        rateTalk: rateTalk(deps),
        createRating: createRating(deps),
        updateRating: updateRating(deps),
        getRating: getRating(deps),
        listRatings: listRatings(deps),
        getSummary: getSummary(reading),
        batchGetSummaries: batchGetSummaries(reading),
        getTalkStatistics: getTalkStatistics(reading),
        createTalk: createTalk(deps),
        listTalks: listTalks(deps),
        createCustomer: createCustomer(deps),
        getCustomer: getCustomer(deps),
        createServiceProvider: createServiceProvider(deps),
        getServiceProvider: getServiceProvider(deps),
      }),
    ];
  },
  http: ({ config }) => restRoutes(version, config),
  workers: { projection: (deps, signal) => projectCounts(deps, signal) },
  metrics: [Ratings, ProjectionMetrics, StatisticsMetrics],
  gauges: [projectionGauges],
  chores: idempotencyChores,
  rebuild: async (context) => void (await rebuild(context)),
});
