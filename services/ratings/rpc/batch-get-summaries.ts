import type { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import type { Handler } from '@tradewind/rpc/implement';
import type { Reading } from '../backends.ts';
import { subjectId } from '../subject.ts';
import { summaryMessage } from '../summaries.ts';

/** Tells how many subjects were rated; those that nobody knows are left out. */
export function batchGetSummaries({
  summaries,
}: Pick<Reading, 'summaries'>): Handler<typeof RatingsService.method.batchGetSummaries> {
  return async ({ subjects, store }) => {
    const ids = [...new Set(subjects.map(({ about }) => subjectId(about)))];
    const found = await summaries.ofAll(ids, store);
    return { summaries: found.map(summaryMessage) };
  };
}
