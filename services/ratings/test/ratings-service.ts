import { ProductCreatedSchema } from '@tradewind/contracts/product/v1/events';
import { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import { createClient } from '@tradewind/rpc/client';
import { append, behind, recordOf } from '@tradewind/testing/events';
import { startService, type TestServiceOptions } from '@tradewind/testing/service';
import { service } from '../service.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: what came over the wire; tests say what they expect of it
  readonly json: any;
}

/** A talk that is there. */
export const TALK = 'flight-of-the-gopher';

/** The ratings service with its generated client and a REST client; one talk is there. */
export async function startRatings(options?: TestServiceOptions) {
  const running = await startService(service, options);
  const client = createClient(RatingsService, { baseUrl: running.url });
  const send = async (
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> => {
    const response = await fetch(`${running.url}${path}`, {
      method,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.startsWith('application/json');
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: isJson ? JSON.parse(text) : undefined,
    };
  };
  const post = (path: string, body: unknown, headers?: Record<string, string>) =>
    send('POST', path, body, headers);
  if (options?.databaseUrl === undefined)
    await client.call.createTalk({ id: TALK, title: 'Flight of the gopher' });
  let people = 0;
  const person = async (path: string, name: string) =>
    (await post(path, { name, email: `${name.toLowerCase()}${people++}@example.com` })).json.id as string;
  return {
    ...running,
    call: client.call,
    send,
    post,
    get: (path: string, headers?: Record<string, string>) => send('GET', path, undefined, headers),
    put: (path: string, body: unknown, headers?: Record<string, string>) => send('PUT', path, body, headers),
    query: async (sql: string, values: unknown[] = []) =>
      (await running.database.pool.query(sql, values)).rows,
    customer: (name = 'Alice') => person('/v1/customers', name),
    provider: (name = 'Bob') => person('/v1/service-providers', name),
    /** A product that ratings has heard of. */
    async product(productId = 1, name = 'Oak desk'): Promise<number> {
      await append(running.log, recordOf(ProductCreatedSchema, { productId, name, revision: 1n }));
      const path = `/v1/products/${productId}/average-rating`;
      const patience = AbortSignal.timeout(10_000);
      while ((await send('GET', path)).status !== 200) patience.throwIfAborted();
      return productId;
    },
    /** How a subject is counted, best first, once everything told so far is. */
    async counts(subject: string): Promise<string | undefined> {
      const [row] = await running.database.pool
        .query('SELECT * FROM tally WHERE subject = $1', [subject])
        .then(({ rows }) => rows);
      return row && [5, 4, 3, 2, 1].map((value) => row[`count_${value}`]).join(' ');
    },
    lag: () => behind(running.log, 'ratings', ...service.subscriptions.map(({ schema }) => schema)),
    async [Symbol.asyncDispose]() {
      await client.close();
      await running[Symbol.asyncDispose]();
    },
  };
}

export type TestRatings = Awaited<ReturnType<typeof startRatings>>;
