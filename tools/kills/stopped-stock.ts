import { Code, ConnectError } from '@connectrpc/connect';
import { OrderStatus, OrderStatusSchema } from '@tradewind/contracts/order/v1/order';
import { delay } from '@tradewind/process/backoff';
import { audit } from '../load/audit.ts';
import { openBooks } from '../load/books.ts';
import { formatAudit } from '../load/report.ts';
import { startTradewind } from '../start/tradewind.ts';
import { examine } from './evidence.ts';
import type { System } from './system.ts';

const SETTLE_MS = 30_000;

/**
 * Places three orders while nothing of stock runs, and lets it come back.
 * @returns what is wrong; none when they waited and then settled
 */
export async function placeWhileStockIsStopped(
  system: System,
  say: (line: string) => void,
): Promise<string[]> {
  await using running = await startTradewind(
    { dataDir: system.dataDir, split: true, env: system.env },
    { say },
  );
  const books = openBooks({ ...system.addresses, patienceMs: SETTLE_MS });
  await running.hold('stock serve');
  await running.hold('stock listen');
  await mustBeAway(() => books.stock.getStock({ productId: 1 }, { timeoutMs: 2_000 }));
  const ids = await Promise.all(
    [1, 2, 3].map(async (productId) => {
      const { order } = await books.orders.createOrder({
        lines: [{ productId, quantity: 1, totalPrice: 100n }],
      });
      return order?.id ?? '';
    }),
  );
  const statuses = async () => {
    const answers = await Promise.all(ids.map((id) => books.orders.getOrder({ id })));
    return answers.map(({ order }) => order?.status ?? OrderStatus.UNSPECIFIED);
  };
  // Once their facts are on the log, only stock is missing.
  const { unsent } = await examine(system);
  const before = await statuses();
  await Promise.all([running.release('stock serve'), running.release('stock listen')]);
  let after = before;
  for (
    const deadline = Date.now() + SETTLE_MS;
    after.includes(OrderStatus.PENDING) && Date.now() < deadline;
  ) {
    await delay(50);
    after = await statuses();
  }
  const audited = await audit(system.addresses);
  const { deadLetters } = await examine(system);
  return [
    ...unsent,
    ...(before.every((status) => status === OrderStatus.PENDING)
      ? []
      : [`with stock stopped the orders should be PENDING, and are ${namesOf(before)}`]),
    ...(after.every((status) => status === OrderStatus.CONFIRMED || status === OrderStatus.CANCELED)
      ? []
      : [`after stock came back the orders should be settled, and are ${namesOf(after)}`]),
    ...(audited.ok ? [] : [formatAudit(audited)]),
    ...deadLetters,
  ];
}

const namesOf = (statuses: readonly OrderStatus[]) =>
  statuses.map((status) => OrderStatusSchema.value[status]?.name).join(', ');

async function mustBeAway(call: () => Promise<unknown>): Promise<void> {
  try {
    await call();
  } catch (error) {
    if (ConnectError.from(error).code === Code.Unavailable) return;
    throw error;
  }
  throw new Error('stock answers although it was stopped');
}
