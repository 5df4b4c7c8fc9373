import { SagaState } from '@tradewind/contracts/order/v1/saga';
import { type Evidence, lookAround, type Sources } from './evidence.ts';
import { lettersOf } from './letters.ts';
import { type OrderFacts, orderFacts } from './order-facts.ts';
import { standingOf } from './standing.ts';
import { stepsOf } from './steps.ts';

/**
 * Asks everybody; undefined when there is no such order. Looks once more when the order changed meanwhile, and before anything is called lost:
 * what came to be after one place was looked at and left the next one before, was in none of them.
 */
export async function gather(
  id: string,
  sources: Sources,
  lateAfterMs: number,
): Promise<Evidence | undefined> {
  const order = await orderFacts(sources.look, id);
  if (!order) return undefined;
  const isLost = (evidence: Evidence) =>
    standingOf(evidence, stepsOf(evidence), lettersOf(evidence), lateAfterMs).state === SagaState.LOST;
  const first = await lookAround(order, sources);
  const now = await orderFacts(sources.look, id);
  if (!now || (isSame(order, now) && !isLost(first))) return first;
  const second = await lookAround(now, sources);
  if (!isLost(second)) return second;
  // Only two looks at the same order agree.
  const last = await orderFacts(sources.look, id);
  const agreed = isLost(first) && isSame(order, now) && last !== undefined && isSame(now, last);
  return agreed ? second : { ...second, moving: true };
}

const isSame = (one: OrderFacts, other: OrderFacts) => one.revision === other.revision;
