import { create, type MessageShape } from '@bufbuild/protobuf';
import {
  type CreateOrderResponse,
  CreateOrderResponseSchema,
  OrderService,
} from '@tradewind/contracts/order/v1/order';
import type { EntityManager } from '@tradewind/database/database';
import { groupCommit } from '@tradewind/database/group-commit';
import { run, statement } from '@tradewind/database/statement';
import type { Fact } from '@tradewind/messaging/event';
import { idempotencyKey, type Proposed, remember } from '@tradewind/messaging/idempotency';
import { Facts } from '@tradewind/messaging/outbox';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { price } from '../order.ts';
import { orderCreated } from '../order-created.ts';
import { Sagas } from '../sagas.ts';
import { type OrderRow, orderMessage } from './order-message.ts';

type CreateOrder = typeof OrderService.method.createOrder;

/** Everything that an accepted order writes, and what its caller gets. */
interface Acceptance extends Proposed<typeof CreateOrderResponseSchema> {
  readonly order: OrderRow;
  readonly fact: Fact;
}

interface Accepted {
  /** Its order was placed; if not, an earlier call with its key has placed it. */
  readonly first: boolean;
  readonly answer: CreateOrderResponse;
}

const insertOrders = statement(`
  INSERT INTO orders (id, customer_id, status, lines, total_price, currency, created_at, updated_at, revision)
  SELECT id, customer_id, 'PENDING', lines, total_price, currency, created_at, created_at, 1
  FROM unnest($1::uuid[], $2::text[], $3::jsonb[], $4::bigint[], $5::text[], $6::timestamptz[])
    AS placed (id, customer_id, lines, total_price, currency, created_at)`);

/** Accepts an order: it and its fact are written in one transaction, which concurrent calls share. */
export function createOrder(
  deps: Pick<ServiceDeps, 'database' | 'wake' | 'clock' | 'newId' | 'metrics'>,
): Handler<CreateOrder> {
  const { database, wake, clock, newId } = deps;
  const { started } = deps.metrics.of(Sagas);
  const commit = groupCommit<Acceptance, Accepted>(database, accept, { onCommit: wake });
  return async (request, call) => {
    const key = idempotencyKey(OrderService.method.createOrder, request, call);
    const order = newOrder(request, newId(), clock());
    const response = create(CreateOrderResponseSchema, { order: orderMessage(order) });
    const { first, answer } = await commit(
      { key, order, response, fact: orderCreated(order) },
      () => call.aborted !== undefined,
    );
    if (first) started.add();
    return answer;
  };
}

function newOrder(request: MessageShape<CreateOrder['input']>, id: string, now: Date): OrderRow {
  return {
    id,
    customerId: request.customerId,
    status: 'PENDING',
    reason: '',
    ...price(request.lines, request.totalPrice),
    currency: request.currency || 'USD',
    createdAt: now,
    updatedAt: now,
    revision: 1,
  };
}

async function accept(em: EntityManager, batch: readonly Acceptance[]): Promise<(Accepted | Error)[]> {
  const remembered = await remember(em, CreateOrderResponseSchema, batch);
  const fresh = batch.filter((_, n) => remembered[n]?.first);
  if (fresh.length > 0) {
    const orders = fresh.map(({ order }) => order);
    await run(em, insertOrders, [
      orders.map(({ id }) => id),
      orders.map(({ customerId }) => customerId),
      orders.map(({ lines }) => JSON.stringify(lines)),
      orders.map(({ totalPrice }) => totalPrice),
      orders.map(({ currency }) => currency),
      orders.map(({ createdAt }) => createdAt),
    ]);
    const facts = new Facts('order');
    for (const { fact } of fresh) facts.add(fact);
    await facts.save(em);
  }
  return remembered.map(({ first, answer }) => (answer instanceof Error ? answer : { first, answer }));
}
