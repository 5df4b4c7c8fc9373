import type { Metrics } from '@tradewind/telemetry/metrics';
import type { FastifyInstance, onResponseHookHandler } from 'fastify';
import { type Durations, methodLabel, routeDurations } from './metrics.ts';

/** Measures the routes that are added after it, each in a hook of its own that knows where to count. */
export function measureRoutes(app: FastifyInstance, metrics: Metrics): void {
  app.addHook('onRoute', (route) => {
    const byMethod = new Map(
      [route.method].flat().map((method) => [method, routeDurations(metrics, route.url, method)]),
    );
    const [first] = byMethod.values();
    const only = byMethod.size === 1 ? first : undefined;
    const measure: onResponseHookHandler = (request, reply, done) => {
      (only ?? byMethod.get(request.method))?.observe(reply.statusCode, reply.elapsedTime / 1_000);
      done();
    };
    route.onResponse = [measure, ...[route.onResponse ?? []].flat()];
  });
  const unmatched = unmatchedRequests(metrics);
  app.addHook('onResponse', (request, reply, done) => {
    if (request.is404) unmatched(request.method).observe(reply.statusCode, reply.elapsedTime / 1_000);
    done();
  });
}

/** Requests that no route takes: their paths are the callers' own, and no labels. */
function unmatchedRequests(metrics: Metrics): (method: string) => Durations {
  const byMethod = new Map<string, Durations>();
  return (asked) => {
    const method = methodLabel(asked);
    const known = byMethod.get(method) ?? routeDurations(metrics, 'unmatched', method);
    byMethod.set(method, known);
    return known;
  };
}
