import type { Outcome } from './metrics.ts';

/** What the statistics function says of a histogram. */
export interface RatingStatistics {
  /** From 0 to 5. */
  readonly avg: number;
  readonly totalCount: number;
}

/** Why an attempt brought no statistics. */
export class Failure extends Error {
  readonly outcome: Exclude<Outcome, 'answered' | 'shared' | 'open'>;
  /** For traces: a code, without whatever a message may quote. */
  readonly type: string;
  /** Whether it may be otherwise next time. */
  readonly passing: boolean;
  /** Whether there is to be a next time. */
  again = false;

  constructor(outcome: Failure['outcome'], type: string, { passing = true }: { passing?: boolean } = {}) {
    super(outcome === type ? outcome : `${outcome} (${type})`);
    this.name = 'StatisticsFailure';
    this.outcome = outcome;
    this.type = type;
    this.passing = passing;
  }
}

/** What a response holds, if it can be believed. */
export function readAnswer(text: string): RatingStatistics | Failure {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    return new Failure('wrong', 'no_json');
  }
  const { avg, totalCount } = (answer ?? {}) as { avg?: unknown; totalCount?: unknown };
  if (typeof avg !== 'number' || !(avg >= 0 && avg <= 5)) return new Failure('wrong', 'no_average');
  if (!Number.isSafeInteger(totalCount) || (totalCount as number) < 0)
    return new Failure('wrong', 'no_count');
  return { avg, totalCount: totalCount as number };
}

/** What a status other than 200 means. */
export function refusal(status: number): Failure {
  // Throttled, or in trouble of its own; with what else it refuses, it would refuse again.
  return new Failure('refused', String(status), {
    passing: status === 429 || status === 408 || status >= 500,
  });
}
