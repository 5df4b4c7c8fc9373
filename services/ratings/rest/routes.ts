import { openapi } from '@tradewind/rpc/rest';
import type { Invoke } from '@tradewind/rpc/serve';
import type { FastifyInstance } from 'fastify';
import { type Backends, backendRoutes } from './backends.ts';
import { peopleRoutes } from './people.ts';
import { ratingRoutes } from './ratings.ts';
import { talkRoutes } from './talks.ts';

/** The REST face: the same calls as by RPC, the same code. */
export function restRoutes(version: string, backends: Backends) {
  return async (app: FastifyInstance, invoke: Invoke): Promise<void> => {
    await openapi(app, {
      title: 'Tradewind ratings',
      version,
      description: 'Takes ratings of talks, products and service providers, and tells how they were rated.',
    });
    backendRoutes(app, backends);
    talkRoutes(app, invoke);
    peopleRoutes(app, invoke);
    ratingRoutes(app, invoke);
  };
}
