import { LockMode } from '@mikro-orm/core';
import { OrderCanceledSchema } from '@tradewind/contracts/order/v1/events';
import { CancelOrderResponseSchema, OrderService } from '@tradewind/contracts/order/v1/order';
import { idempotencyKey, once } from '@tradewind/messaging/idempotency';
import { Facts } from '@tradewind/messaging/outbox';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { Order } from '../order.ts';
import { unknownOrder } from './get-order.ts';
import { orderMessage } from './order-message.ts';

/** Cancels an order for its customer; stock gives the goods back once it hears of it. */
export function cancelOrder({
  database,
  wake,
  clock,
}: Pick<ServiceDeps, 'database' | 'wake' | 'clock'>): Handler<typeof OrderService.method.cancelOrder> {
  return async (request, call) => {
    const key = idempotencyKey(OrderService.method.cancelOrder, request, call);
    const response = await database.transaction((em) =>
      once(em, key, CancelOrderResponseSchema, async () => {
        const order = await em.findOne(Order, { id: request.id }, { lockMode: LockMode.PESSIMISTIC_WRITE });
        if (!order) throw unknownOrder(request.id);
        if (order.cancel()) {
          order.updatedAt = clock();
          const { id, reason, revision } = order;
          const facts = new Facts('order');
          facts.publish(OrderCanceledSchema, { orderId: id, reason, revision: BigInt(revision) });
          await facts.save(em);
        }
        return { order: orderMessage(order) };
      }),
    );
    wake();
    return response;
  };
}
