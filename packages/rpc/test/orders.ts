import { Code, ConnectError } from '@connectrpc/connect';
import { OrderService, OrderStatus } from '@tradewind/contracts/order/v1/order';
import { pino } from 'pino';
import type { Call } from '../call.ts';
import { type Handlers, implement } from '../implement.ts';
import { type ServeOptions, serve } from '../serve.ts';

export const orderId = '0193f6d2-0000-7000-8000-000000000001';

/** An OrderService that keeps nothing: enough to see what the server does around handlers. */
export const handlers: Handlers<typeof OrderService> = {
  async createOrder({ lines, customerId }, call) {
    call.setHeader('x-customer', customerId || 'nobody');
    const total = lines.reduce((sum, line) => sum + (line.unitPrice ?? 0n) * BigInt(line.quantity), 0n);
    return {
      order: { id: orderId, customerId, status: OrderStatus.PENDING, totalPrice: total, revision: 1n },
    };
  },
  async getOrder({ id }) {
    if (id !== orderId) throw new ConnectError(`no order ${id}`, Code.NotFound);
    return { order: { id } };
  },
  async listOrders() {
    return { orders: [], nextPageToken: '' };
  },
  async cancelOrder({ id }) {
    return { order: { id, status: OrderStatus.CANCELED } };
  },
  async getSaga({ id }) {
    return { saga: { orderId: id } };
  },
};

export type LogLine = Record<string, unknown> & { msg?: string; err?: { message: string; stack: string } };

/** A logger whose lines a test can read. */
export function recorder() {
  const lines: LogLine[] = [];
  const logger = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  return { lines, logger };
}

/** A server of orders on a free port; `overrides` replace single handlers. */
export async function serveOrders(
  overrides: Partial<Handlers<typeof OrderService>> = {},
  options: Partial<ServeOptions> = {},
) {
  const { lines, logger } = recorder();
  const server = await serve({
    name: 'order',
    version: '1.2.3',
    host: '127.0.0.1',
    port: 0,
    implementations: [implement(OrderService, { ...handlers, ...overrides })],
    health: { check: async () => ({ status: 'ready', dependencies: { database: 'ok' } }) },
    logger,
    ...options,
    limits: { drainDelayMs: 0, goawayMs: 20, ...options.limits },
  });
  return Object.assign(server, { lines });
}

/** Resolves when the call is aborted; what a slow handler waits for. */
export function aborted({ signal }: Call): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
