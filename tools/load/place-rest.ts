import type { IncomingHttpHeaders } from 'node:http';
import { Code, ConnectError } from '@connectrpc/connect';
import { type Dispatcher, Pool } from 'undici';
import type { Accepted, Placer, PlacerOptions } from './place.ts';
import type { PlannedOrder } from './plan.ts';
import { failureOf, parseJson } from './rest-answer.ts';

/** `POST /api/v1/orders`, in the form of one line. */
export function placeByRest({ orderUrl, clients, attemptMs }: PlacerOptions): Placer {
  const { origin, pathname } = new URL(orderUrl);
  const path = `${pathname.replace(/\/$/, '')}/api/v1/orders`;
  const pool = new Pool(origin, {
    connections: clients,
    connectTimeout: attemptMs,
    headersTimeout: attemptMs,
    bodyTimeout: attemptMs,
    allowH2: false,
  });
  return {
    async place(order) {
      const { status, headers, text } = await post(pool, path, order);
      if (status === 201) return acceptedOf(text);
      throw failureOf(status, headers, text);
    },
    async [Symbol.asyncDispose]() {
      await pool.destroy();
    },
  };
}

type Answer = { status: number; headers: IncomingHttpHeaders; text: string };

/** `dispatch` costs a third of what `request` does, which matters to whoever shares the machine with the services. */
function post(pool: Pool, path: string, order: PlannedOrder): Promise<Answer> {
  const body = JSON.stringify({
    customer_id: order.customerId,
    product_id: order.productId,
    total_quantity: order.quantity,
    total_price: order.totalPrice,
  });
  return new Promise((resolve, reject) => {
    const answer: Answer = { status: 0, headers: {}, text: '' };
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart() {},
      onResponseStart(_controller, status, headers) {
        answer.status = status;
        answer.headers = headers;
      },
      onResponseData(_controller, chunk) {
        answer.text += chunk.toString('utf8');
      },
      onResponseEnd() {
        resolve(answer);
      },
      onResponseError(_controller, error) {
        reject(new ConnectError(error.message || error.name, Code.Unavailable, undefined, undefined, error));
      },
    };
    const headers = { 'content-type': 'application/json', 'idempotency-key': order.key };
    pool.dispatch({ method: 'POST', path, headers, body }, handler);
  });
}

function acceptedOf(text: string): Accepted {
  const order: unknown = parseJson(text);
  const { id, created_at: createdAt } = (order ?? {}) as { id?: unknown; created_at?: unknown };
  if (typeof id !== 'string' || typeof createdAt !== 'string')
    throw new ConnectError(`a 201 without an order: ${text.slice(0, 200)}`, Code.DataLoss);
  return { id, createdAtMs: Date.parse(createdAt) };
}
