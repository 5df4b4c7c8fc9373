import { LockMode } from '@mikro-orm/core';
import { OrderCanceledSchema } from '@tradewind/contracts/order/v1/events';
import { CancelOrderResponseSchema, OrderService } from '@tradewind/contracts/order/v1/order';
import { run, statement } from '@tradewind/database/statement';
import { idempotencyKey, once } from '@tradewind/messaging/idempotency';
import { Facts } from '@tradewind/messaging/outbox';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { Order } from '../order.ts';
import { Sagas, type Settled } from '../sagas.ts';
import { unknownOrder } from './get-order.ts';
import { orderMessage } from './order-message.ts';

const age = statement<{ seconds: number }>(
  'SELECT extract(epoch FROM now() - accepted_at)::float8 AS seconds FROM orders WHERE id = $1',
);

/** Cancels an order for its customer; stock gives the goods back once it hears of it. */
export function cancelOrder({
  database,
  wake,
  clock,
  metrics,
}: Pick<ServiceDeps, 'database' | 'wake' | 'clock' | 'metrics'>): Handler<
  typeof OrderService.method.cancelOrder
> {
  const sagas = metrics.of(Sagas);
  return async (request, call) => {
    let settled: Settled | 'before' | undefined;
    const key = idempotencyKey(OrderService.method.cancelOrder, request, call);
    const response = await database.transaction((em) =>
      once(em, key, CancelOrderResponseSchema, async () => {
        const order = await em.findOne(Order, { id: request.id }, { lockMode: LockMode.PESSIMISTIC_WRITE });
        if (!order) throw unknownOrder(request.id);
        const { status } = order;
        if (order.cancel()) {
          const [since] = status === 'PENDING' ? await run(em, age, [order.id]) : [];
          settled = since ? { end: 'customer', seconds: since.seconds } : 'before';
          order.updatedAt = clock();
          const { id, reason, revision } = order;
          const facts = new Facts('order');
          facts.publish(OrderCanceledSchema, { orderId: id, reason, revision: BigInt(revision) });
          await facts.save(em);
        }
        return { order: orderMessage(order) };
      }),
    );
    if (settled === 'before') sagas.undone.add();
    else if (settled) sagas.settled(settled);
    wake();
    return response;
  };
}
