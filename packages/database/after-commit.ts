import type { EntityManager } from '@mikro-orm/postgresql';

const waiting = new WeakMap<object, (() => void)[]>();

/** Does something once the transaction has committed, and never if it rolls back. For what is only told: it must not throw, and nothing waits for it. */
export function afterCommit(em: EntityManager, work: () => void): void {
  const all = waiting.get(em);
  if (all) all.push(work);
  else waiting.set(em, [work]);
}

/** The transaction has committed. */
export function committed(em: EntityManager | undefined): void {
  if (!em) return;
  for (const work of waiting.get(em) ?? []) work();
  waiting.delete(em);
}
