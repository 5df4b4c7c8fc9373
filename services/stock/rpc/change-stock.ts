import type { MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { StockSchema } from '@tradewind/contracts/stock/v1/stock';
import type { Database, EntityManager } from '@tradewind/database/database';
import { failureKind } from '@tradewind/database/failure';
import { type Ledger, lockLedger } from '../ledger.ts';
import type { Stock } from '../stock.ts';
import { stockMessage } from './stock-message.ts';

/** Changes one product's stock within a transaction, and shows it as it is then. */
export async function changeStock(
  em: EntityManager,
  productId: number,
  change: (ledger: Ledger, stock: Stock | undefined) => Stock,
): Promise<MessageInitShape<typeof StockSchema>> {
  const ledger = await lockLedger(em, [], () => [productId]);
  const stock = ledger.stock(productId);
  if (stock?.deleted) throw new ConnectError(`product ${productId} was deleted`, Code.FailedPrecondition);
  const changed = change(ledger, stock);
  await ledger.save(em);
  return stockMessage(changed);
}

/** Tries at most when two make the same product known at the same time. */
const TRIES = 10;

/** A transaction, run again when another one was in its way. */
export async function insist<T>(
  database: Pick<Database, 'transaction'>,
  work: (em: EntityManager) => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await database.transaction(work);
    } catch (error) {
      if (failureKind(error) !== 'conflict' || tries === TRIES) throw error;
    }
  }
}
