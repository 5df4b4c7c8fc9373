import type { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import type { Handler } from '@tradewind/rpc/implement';
import { subjectId } from '../subject.ts';
import { type Summaries, summaryMessage } from '../summaries.ts';

/** Tells how many subjects were rated; those that nobody knows are left out. */
export function batchGetSummaries({
  summaries,
}: {
  readonly summaries: Summaries;
}): Handler<typeof RatingsService.method.batchGetSummaries> {
  return async ({ subjects, store }) => {
    const ids = [...new Set(subjects.map(({ about }) => subjectId(about)))];
    const found = await summaries.ofAll(ids, store);
    return { summaries: found.map(summaryMessage) };
  };
}
