const MOST = 0x7fffffff;

/** A quantity as GraphQL's Int, which ends at 2147483647; who has more will not miss the rest. */
export function toInt(quantity: bigint): number {
  return Math.min(Number(quantity), MOST);
}
