import { startService, type TestServiceOptions } from '@tradewind/testing/service';
import { service } from '../service.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: what came over the wire; tests say what they expect of it
  readonly json: any;
}

/** The order service with a REST client. */
export async function startOrder(options?: TestServiceOptions) {
  const running = await startService(service, options);
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
  return {
    ...running,
    send,
    /** POST /api/v1/orders */
    place: (body: unknown, headers?: Record<string, string>) => send('POST', '/api/v1/orders', body, headers),
    /** GET a path. */
    get: (path: string, headers?: Record<string, string>) => send('GET', path, undefined, headers),
    /** The order's row, as it is. */
    async row(id: string) {
      const { rows } = await running.database.pool.query('SELECT * FROM orders WHERE id = $1', [id]);
      return rows[0];
    },
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}

export type TestOrder = Awaited<ReturnType<typeof startOrder>>;
