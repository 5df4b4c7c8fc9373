import { type Code, ConnectError } from '@connectrpc/connect';
import { delay } from '@tradewind/process/backoff';
import type { Placer } from './place.ts';
import type { PlannedOrder } from './plan.ts';
import { untilAnswered } from './until-answered.ts';

/** An order that was accepted; times in milliseconds since 1970. */
export interface Receipt {
  readonly id: string;
  readonly order: PlannedOrder;
  /** When its first attempt began, or should have begun where a rate was asked for. */
  readonly requestedAtMs: number;
  readonly answeredAtMs: number;
  readonly createdAtMs: number;
}

/** An order that was not accepted, and the last error. */
export interface Unplaced {
  readonly order: PlannedOrder;
  readonly error: string;
}

export interface Placement {
  readonly receipts: readonly Receipt[];
  /** Answered with an error that will not pass: there must be no such order. */
  readonly refused: readonly Unplaced[];
  /** Not answered before patience was over: there may be such an order, or not. After the first one no new one is begun. */
  readonly unanswered: readonly Unplaced[];
  /** Attempts that were repeated, by the code of their error. */
  readonly retries: ReadonlyMap<Code, number>;
  readonly startedAtMs: number;
}

export interface PlaceOptions {
  readonly clients: number;
  /** Orders begun each second at most; as many as the clients can when left out. */
  readonly rate?: number | undefined;
  readonly patienceMs: number;
  readonly now: () => number;
  readonly signal?: AbortSignal | undefined;
  readonly onPlaced?: ((done: number) => void) | undefined;
}

/** Places all orders, each until it is answered, `clients` at a time. */
export async function placeAll(
  orders: readonly PlannedOrder[],
  placer: Placer,
  { clients, rate, patienceMs, now, signal, onPlaced }: PlaceOptions,
): Promise<Placement> {
  const receipts: Receipt[] = [];
  const refused: Unplaced[] = [];
  const unanswered: Unplaced[] = [];
  const retries = new Map<Code, number>();
  const onRetry = ({ code }: ConnectError) => retries.set(code, (retries.get(code) ?? 0) + 1);
  const startedAtMs = now();
  let next = 0;

  const placeOne = async (order: PlannedOrder, requestedAtMs: number) => {
    const since = performance.now();
    try {
      const accepted = await untilAnswered(() => placer.place(order), { signal, patienceMs, onRetry });
      receipts.push({ ...accepted, order, requestedAtMs, answeredAtMs: now() });
    } catch (error) {
      signal?.throwIfAborted();
      const list = performance.now() - since > patienceMs ? unanswered : refused;
      list.push({ order, error: ConnectError.from(error).message });
    }
    onPlaced?.(receipts.length + refused.length);
  };
  const client = async () => {
    for (let index = next++; unanswered.length === 0; index = next++) {
      const order = orders[index];
      if (!order) return;
      signal?.throwIfAborted();
      await placeOne(
        order,
        rate === undefined ? now() : await turn(startedAtMs + (index * 1_000) / rate, now, signal),
      );
    }
  };
  await Promise.all(Array.from({ length: Math.min(clients, orders.length) }, client));
  return { receipts, refused, unanswered, retries, startedAtMs };
}

/** Waits for a moment. Who comes too late counts from when it was due: a wait for a free client is the server's doing. */
async function turn(dueAtMs: number, now: () => number, signal: AbortSignal | undefined): Promise<number> {
  if (now() >= dueAtMs) return dueAtMs;
  await delay(dueAtMs - now(), signal);
  return now();
}
