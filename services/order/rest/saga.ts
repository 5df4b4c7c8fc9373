import { Code, ConnectError } from '@connectrpc/connect';
import { OrderService } from '@tradewind/contracts/order/v1/order';
import { callOf } from '@tradewind/rpc/rest';
import type { Invoke } from '@tradewind/rpc/serve';
import type { FastifyInstance } from 'fastify';
import { drawSaga } from '../saga/drawing.ts';
import { prefersText } from './accept.ts';
import { busy, byId, invalid, unknown } from './route-schema.ts';
import { sagaJson } from './saga-json.ts';
import { sagaSchema } from './saga-schema.ts';

/** GET /api/v1/orders/{id}/saga */
export function showSaga(app: FastifyInstance, invoke: Invoke): void {
  const found = {
    description: 'The way of the order; a drawing of it for a client that prefers text/plain.',
    content: { 'application/json': { schema: sagaSchema }, 'text/plain': { schema: { type: 'string' } } },
  };
  const schema = {
    summary: 'Tells where an order is on its way, and what it waits for',
    params: byId,
    response: { 200: found, 400: invalid, 404: unknown, 429: busy },
  };
  app.get<{ Params: { id: string } }>('/api/v1/orders/:id/saga', { schema }, async (request, reply) => {
    const { saga } = await invoke(OrderService.method.getSaga, request.params, callOf(request, reply));
    if (!saga) throw new ConnectError('the answer has no saga', Code.Internal);
    void reply.header('vary', 'accept').header('cache-control', 'no-store');
    if (prefersText(request.headers.accept))
      return reply.type('text/plain; charset=utf-8').send(`${drawSaga(saga)}\n`);
    return reply.type('application/json; charset=utf-8').send(sagaJson(saga));
  });
}
