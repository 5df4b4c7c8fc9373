import { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import { callOf, renameFields } from '@tradewind/rpc/rest';
import type { Invoke } from '@tradewind/rpc/serve';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { talkStatisticsSchema, talkStatisticsText, timeJson } from './json.ts';
import { byId, conflict, idempotent, invalid, stars, starsOf, time, unknown, uuid } from './route-schema.ts';

const { rateTalk, getTalkStatistics, listTalks } = RatingsService.method;
const talkId = { type: 'string', minLength: 1, maxLength: 200 } as const;
const rated = {
  201: {
    description: 'Accepted; it is counted in a moment.',
    headers: { location: { type: 'string', description: 'Path of the rating.' } },
    type: 'object',
    properties: { id: uuid, talkId, value: stars },
  },
  400: invalid,
  404: unknown,
  409: conflict,
};
const statistics = {
  200: {
    description: 'How it was rated.',
    content: { 'application/json': { schema: talkStatisticsSchema } },
  },
  400: invalid,
  404: unknown,
};

/** Talks: rated by anybody, by body and by path. */
export function talkRoutes(app: FastifyInstance, invoke: Invoke): void {
  const rate = async (
    request: FastifyRequest,
    reply: FastifyReply,
    { talkId, value }: { talkId: string; value: number },
    names: Readonly<Record<string, string>>,
  ) => {
    const given = { talkId, value: starsOf(value) };
    const { ratingId } = await invoke(rateTalk, given, callOf(request, reply)).catch((error: unknown) => {
      throw renameFields(error, names);
    });
    void reply.code(201).header('location', `/v1/ratings/${ratingId}`);
    return { id: ratingId, talkId, value };
  };
  const show = async (request: FastifyRequest, reply: FastifyReply, talkId: string, name: string) => {
    const answer = await invoke(getTalkStatistics, { talkId }, callOf(request, reply)).catch(
      (error: unknown) => {
        throw renameFields(error, { talk_id: name });
      },
    );
    void reply.type('application/json; charset=utf-8').serializer((text: string) => text);
    return talkStatisticsText(answer);
  };
  byBody(app, rate, show);
  byPath(app, rate, show);
  showTalks(app, invoke);
}

type Rate = (
  request: FastifyRequest,
  reply: FastifyReply,
  rating: { talkId: string; value: number },
  names: Readonly<Record<string, string>>,
) => Promise<object>;
type Show = (request: FastifyRequest, reply: FastifyReply, talkId: string, name: string) => Promise<string>;

function byBody(app: FastifyInstance, rate: Rate, show: Show): void {
  const body = {
    type: 'object',
    required: ['talkId', 'value'],
    properties: { talkId, value: stars },
    examples: [{ talkId: 'flight-of-the-gopher', value: 5 }],
  };
  app.post<{ Body: { talkId: string; value: number } }>(
    '/ratings',
    { schema: { summary: 'Rates a talk', headers: idempotent, body, response: rated } },
    (request, reply) => rate(request, reply, request.body, { talk_id: 'talkId' }),
  );
  const querystring = { type: 'object', required: ['talkId'], properties: { talkId } };
  app.get<{ Querystring: { talkId: string } }>(
    '/ratings',
    { schema: { summary: 'Tells how a talk was rated', querystring, response: statistics } },
    (request, reply) => show(request, reply, request.query.talkId, 'talkId'),
  );
}

function byPath(app: FastifyInstance, rate: Rate, show: Show): void {
  const params = byId("The talk's id.");
  const body = {
    type: 'object',
    required: ['score'],
    properties: { score: stars },
    examples: [{ score: 5 }],
  };
  app.post<{ Params: { id: string }; Body: { score: number } }>(
    '/talks/:id/ratings',
    { schema: { summary: 'Rates a talk', headers: idempotent, params, body, response: rated } },
    (request, reply) =>
      rate(
        request,
        reply,
        { talkId: request.params.id, value: request.body.score },
        { talk_id: 'id', value: 'score' },
      ),
  );
  app.get<{ Params: { id: string } }>(
    '/talks/:id/stats',
    { schema: { summary: 'Tells how a talk was rated', params, response: statistics } },
    (request, reply) => show(request, reply, request.params.id, 'id'),
  );
}

interface TalksQuery {
  readonly page_size?: number;
  readonly page_token?: string;
}

function showTalks(app: FastifyInstance, invoke: Invoke): void {
  const talk = {
    type: 'object',
    properties: { id: { type: 'string' }, title: { type: 'string' }, created_at: time },
  };
  const schema = {
    summary: 'Gives the talks page by page',
    querystring: {
      type: 'object',
      properties: {
        page_size: { type: 'integer', minimum: 1, maximum: 1_000, default: 100 },
        page_token: { type: 'string', maxLength: 512, description: '`next_page_token` of the page before.' },
      },
    },
    response: {
      200: {
        type: 'object',
        properties: {
          talks: { type: 'array', items: talk },
          next_page_token: { type: 'string', description: 'Empty at the end.' },
        },
      },
      400: invalid,
    },
  };
  app.get<{ Querystring: TalksQuery }>('/talks', { schema }, async (request, reply) => {
    const { page_size: pageSize = 0, page_token: pageToken = '' } = request.query;
    const { talks, nextPageToken } = await invoke(listTalks, { pageSize, pageToken }, callOf(request, reply));
    return {
      talks: talks.map(({ id, title, createdAt }) => ({ id, title, created_at: timeJson(createdAt) })),
      next_page_token: nextPageToken,
    };
  });
}
