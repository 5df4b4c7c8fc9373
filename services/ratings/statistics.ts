import type { Counts } from './tally.ts';

/** What the statistics function says of a histogram. */
export interface Statistics {
  /** Undefined when the function can't be reached. */
  of(counts: Counts): Promise<{ readonly avg: number; readonly totalCount: number } | undefined>;
}
