import { maskUrl } from '@tradewind/telemetry/mask';
import type { FastifyInstance } from 'fastify';

export interface Backends {
  readonly RATINGS_LAMBDA_URL: string | undefined;
  readonly REDIS_URL: string | undefined;
  readonly EVENT_LOG_URL: string;
  readonly DATABASE_URL: string;
}

/** GET /: what the service stands on, with passwords masked. What is not configured is empty. */
export function backendRoutes(app: FastifyInstance, backends: Backends): void {
  const shown = (url: string | undefined) => (url === undefined ? '' : maskUrl(url));
  const metadata = {
    ratings_lambda: shown(backends.RATINGS_LAMBDA_URL),
    ratings: shown(backends.REDIS_URL),
    streams: shown(backends.EVENT_LOG_URL),
    talks: shown(backends.DATABASE_URL),
  };
  const text = { type: 'string' };
  const properties = { ratings_lambda: text, ratings: text, streams: text, talks: text };
  const response = {
    200: { type: 'object', properties: { metadata: { type: 'object', properties } } },
  };
  app.get('/', { schema: { summary: 'Names the backends', response } }, async () => ({ metadata }));
}
