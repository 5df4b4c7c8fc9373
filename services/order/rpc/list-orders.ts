import { type OrderService, OrderStatus } from '@tradewind/contracts/order/v1/order';
import { problem } from '@tradewind/rpc/failure';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { Order, type Status } from '../order.ts';
import { orderMessage } from './order-message.ts';

const PAGE_SIZE = 100;
const statuses: Readonly<Partial<Record<OrderStatus, Status>>> = {
  [OrderStatus.PENDING]: 'PENDING',
  [OrderStatus.CONFIRMED]: 'CONFIRMED',
  [OrderStatus.CANCELED]: 'CANCELED',
};

/** Gives orders page by page, the newest first. */
export function listOrders({
  database,
}: Pick<ServiceDeps, 'database'>): Handler<typeof OrderService.method.listOrders> {
  return async ({ pageSize, pageToken, status, customerId }) => {
    const limit = pageSize || PAGE_SIZE;
    const wanted = statuses[status];
    const orders = await database.read().find(
      Order,
      {
        ...(pageToken !== '' && { id: { $lt: idOf(pageToken) } }),
        ...(wanted && { status: wanted }),
        ...(customerId !== '' && { customerId }),
      },
      // One more than asked for, to know whether there is a page after this one.
      { orderBy: { id: 'desc' }, limit: limit + 1 },
    );
    const page = orders.slice(0, limit);
    const last = page.at(-1);
    return {
      orders: page.map(orderMessage),
      nextPageToken: last && orders.length > limit ? tokenOf(last.id) : '',
    };
  };
}

/** A page ends with an order; its id, without dashes and shorter, is where the next one goes on. */
function tokenOf(id: string): string {
  return Buffer.from(id.replaceAll('-', ''), 'hex').toString('base64url');
}

function idOf(token: string): string {
  const bytes = Buffer.from(token, 'base64url');
  if (bytes.length !== 16 || bytes.toString('base64url') !== token)
    throw problem('page_token', 'is not one that was given');
  return bytes.toString('hex').replace(/(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
