import type { MessageInitShape } from '@bufbuild/protobuf';
import { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import type { SubjectSchema } from '@tradewind/contracts/ratings/v1/summary';
import { callOf, problem, renameFields } from '@tradewind/rpc/rest';
import type { Invoke } from '@tradewind/rpc/serve';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { averageJson, averageSchema, present, ratingJson, ratingSchema } from './json.ts';
import { byId, comment, conflict, idempotent, invalid, stars, starsOf, unknown } from './route-schema.ts';

const methods = RatingsService.method;
type Subject = MessageInitShape<typeof SubjectSchema>;
const productId = { type: 'integer', minimum: 1, maximum: 2_147_483_647 } as const;
const created = {
  ...ratingSchema,
  description: 'Accepted; it is counted in a moment.',
  headers: { location: { type: 'string', description: 'Path of the rating.' } },
};

interface NewRating {
  readonly customerId: string;
  readonly rating: number;
  readonly comment?: string;
}
const newRating = { customerId: { type: 'string' }, rating: stars, comment } as const;
const names = {
  'subject.service_provider_id': 'serviceProviderId',
  'subject.product_id': 'productId',
  'subject.talk_id': 'talkId',
  customer_id: 'customerId',
  value: 'rating',
};

/** Ratings of service providers and products, in customers' names. */
export function ratingRoutes(app: FastifyInstance, invoke: Invoke): void {
  const create = async (
    request: FastifyRequest,
    reply: FastifyReply,
    about: NonNullable<Subject['about']>,
    { customerId, rating, comment = '' }: NewRating,
    fields: Readonly<Record<string, string>>,
  ) => {
    const given = { subject: { about }, customerId, value: starsOf(rating), comment };
    const answer = await invoke(methods.createRating, given, callOf(request, reply)).catch(
      (error: unknown) => {
        throw renameFields(error, fields);
      },
    );
    const made = ratingJson(present(answer.rating));
    void reply.code(201).header('location', `/v1/ratings/${made.id}`);
    return made;
  };
  rateProvider(app, create);
  rateProduct(app, create);
  showProductAverage(app, invoke);
  oneRating(app, invoke);
  listRatings(app, invoke);
}

type Create = (
  request: FastifyRequest,
  reply: FastifyReply,
  about: NonNullable<Subject['about']>,
  rating: NewRating,
  fields: Readonly<Record<string, string>>,
) => Promise<object>;

function rateProvider(app: FastifyInstance, create: Create): void {
  const body = {
    type: 'object',
    required: ['customerId', 'serviceProviderId', 'rating'],
    properties: { ...newRating, serviceProviderId: { type: 'string' } },
  };
  const response = { 201: created, 400: invalid, 404: unknown, 409: conflict };
  app.post<{ Body: NewRating & { serviceProviderId: string } }>(
    '/v1/ratings',
    { schema: { summary: 'Rates a service provider', headers: idempotent, body, response } },
    (request, reply) => {
      const { serviceProviderId: value, ...rating } = request.body;
      return create(request, reply, { case: 'serviceProviderId', value }, rating, names);
    },
  );
}

function rateProduct(app: FastifyInstance, create: Create): void {
  const body = { type: 'object', required: ['customerId', 'rating'], properties: newRating };
  const params = { type: 'object', required: ['id'], properties: { id: productId } };
  const response = { 201: created, 400: invalid, 404: unknown, 409: conflict };
  app.post<{ Params: { id: number }; Body: NewRating }>(
    '/v1/products/:id/ratings',
    { schema: { summary: 'Rates a product', headers: idempotent, params, body, response } },
    (request, reply) =>
      create(request, reply, { case: 'productId', value: request.params.id }, request.body, {
        ...names,
        'subject.product_id': 'id',
      }),
  );
}

function showProductAverage(app: FastifyInstance, invoke: Invoke): void {
  const schema = {
    summary: 'Tells how a product was rated',
    params: { type: 'object', required: ['id'], properties: { id: productId } },
    response: { 200: averageSchema, 400: invalid, 404: unknown },
  };
  app.get<{ Params: { id: number } }>(
    '/v1/products/:id/average-rating',
    { schema },
    async (request, reply) => {
      const subject = { about: { case: 'productId' as const, value: request.params.id } };
      const { summary } = await invoke(methods.getSummary, { subject }, callOf(request, reply)).catch(
        (error: unknown) => {
          throw renameFields(error, { 'subject.product_id': 'id' });
        },
      );
      return averageJson(present(summary));
    },
  );
}

interface Change {
  readonly rating: number;
  readonly comment?: string;
  readonly revision?: number;
}

function oneRating(app: FastifyInstance, invoke: Invoke): void {
  const params = byId("The rating's id, a UUID.");
  app.get<{ Params: { id: string } }>(
    '/v1/ratings/:id',
    {
      schema: {
        summary: 'Gives one rating',
        params,
        response: { 200: ratingSchema, 400: invalid, 404: unknown },
      },
    },
    async (request, reply) => {
      const { rating } = await invoke(methods.getRating, request.params, callOf(request, reply));
      return ratingJson(present(rating));
    },
  );
  const revision = {
    type: 'integer',
    minimum: 1,
    maximum: Number.MAX_SAFE_INTEGER,
    description: 'Changes it only if it still has that one.',
  };
  const body = { type: 'object', required: ['rating'], properties: { rating: stars, comment, revision } };
  const response = { 200: ratingSchema, 400: invalid, 404: unknown, 409: conflict };
  app.put<{ Params: { id: string }; Body: Change }>(
    '/v1/ratings/:id',
    { schema: { summary: 'Changes a rating', headers: idempotent, params, body, response } },
    async (request, reply) => {
      const { rating: value, comment = '', revision = 0 } = request.body;
      const change = {
        id: request.params.id,
        value: starsOf(value),
        comment,
        revision: BigInt(revision),
      };
      const { rating } = await invoke(methods.updateRating, change, callOf(request, reply)).catch(
        (error: unknown) => {
          throw renameFields(error, names);
        },
      );
      return ratingJson(present(rating));
    },
  );
}

interface ListQuery {
  readonly page?: number;
  readonly per_page?: number;
  readonly serviceProviderId?: string;
  readonly productId?: number;
  readonly talkId?: string;
  readonly customerId?: string;
}

/** Ratings to skip at most, as the call has it. */
const SKIP_MAX = 10_000_000;

function listRatings(app: FastifyInstance, invoke: Invoke): void {
  const schema = {
    summary: 'Gives ratings page by page, the newest first',
    querystring: {
      type: 'object',
      properties: {
        page: { type: 'integer', minimum: 1, maximum: SKIP_MAX, default: 1 },
        per_page: { type: 'integer', minimum: 1, maximum: 1_000, default: 100 },
        serviceProviderId: { type: 'string' },
        productId,
        talkId: { type: 'string', minLength: 1 },
        customerId: { type: 'string', minLength: 1 },
      },
    },
    response: {
      200: {
        type: 'object',
        properties: {
          page: { type: 'integer' },
          per_page: { type: 'integer' },
          page_count: { type: 'integer' },
          total_count: { type: 'integer' },
          items: { type: 'array', items: ratingSchema },
        },
      },
      400: invalid,
    },
  };
  app.get<{ Querystring: ListQuery }>('/v1/ratings', { schema }, async (request, reply) => {
    const { page = 1, per_page = 100, customerId = '' } = request.query;
    const skip = (page - 1) * per_page;
    if (skip > SKIP_MAX) throw problem('page', `must not be beyond rating ${SKIP_MAX}`);
    const subject = subjectOf(request.query);
    const wanted = {
      pageSize: per_page,
      skip,
      customerId,
      ...(subject && { subject }),
      includeTotalSize: true,
    };
    const { ratings, totalSize } = await invoke(methods.listRatings, wanted, callOf(request, reply)).catch(
      (error: unknown) => {
        throw renameFields(error, names);
      },
    );
    const total = Number(totalSize ?? 0);
    return {
      page,
      per_page,
      page_count: Math.ceil(total / per_page),
      total_count: total,
      items: ratings.map(ratingJson),
    };
  });
}

/** @throws ConnectError INVALID_ARGUMENT when more than one is named */
function subjectOf({ serviceProviderId, productId, talkId }: ListQuery): Subject | undefined {
  const about: NonNullable<Subject['about']>[] = [];
  if (serviceProviderId !== undefined) about.push({ case: 'serviceProviderId', value: serviceProviderId });
  if (productId !== undefined) about.push({ case: 'productId', value: productId });
  if (talkId !== undefined) about.push({ case: 'talkId', value: talkId });
  const [first, second] = about;
  if (second) throw problem(second.case ?? '', `must not be given together with ${first?.case}`);
  return first && { about: first };
}
