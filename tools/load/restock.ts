import { Code, ConnectError } from '@connectrpc/connect';
import { delay } from '@tradewind/process/backoff';
import type { Books } from './books.ts';

export interface Restocked {
  /** Products whose stock was moved. */
  readonly products: number;
  /** Pieces left after it, over all products. */
  readonly left: number;
}

export interface RestockOptions {
  /** Begins each idempotency key; unique to the run. */
  readonly key: string;
  readonly share: number;
  readonly signal?: AbortSignal | undefined;
}

/** Other traffic may take between reading and adjusting; then it is done again. */
const rounds = 20;

/**
 * Makes what is left of each product `share` of what will be asked, rounded down to whole pieces, by AdjustStock.
 * @param asked pieces by product
 */
export async function restock(
  books: Books,
  asked: ReadonlyMap<number, number>,
  { key, share, signal }: RestockOptions,
): Promise<Restocked> {
  let moved = 0;
  let left = 0;
  for (const [productId, pieces] of asked) {
    // Exact where share has up to six decimals.
    const target = Math.floor((pieces * Math.round(share * 1e6)) / 1e6);
    if (await bringTo(books, productId, target, { key, signal })) moved += 1;
    left += target;
  }
  return { products: moved, left };
}

async function bringTo(
  { stock, ask }: Books,
  productId: number,
  target: number,
  { key, signal }: { key: string; signal: AbortSignal | undefined },
): Promise<boolean> {
  for (let round = 1; ; round += 1) {
    try {
      const { stock: now } = await ask((options) => stock.getStock({ productId }, options));
      const delta = BigInt(target) - (now?.quantity ?? 0n);
      if (delta === 0n) return round > 1;
      const headers = { 'idempotency-key': `${key}:restock:${productId}:${round}:${delta}` };
      await ask((options) => stock.adjustStock({ productId, delta }, { ...options, headers }));
    } catch (error) {
      const { code } = ConnectError.from(error);
      // Stock hears of a new product a moment after the catalogue has it.
      const passing = code === Code.NotFound || code === Code.FailedPrecondition;
      if (!passing || round >= rounds) throw error;
      await delay(250, signal);
    }
    if (round >= rounds)
      throw new Error(`stock of product ${productId} does not stay at ${target}: others move it`);
  }
}
