import { Code } from '@connectrpc/connect';
import type { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import { problem } from '@tradewind/rpc/failure';
import type { Handler } from '@tradewind/rpc/implement';
import type { Reading } from '../backends.ts';
import { fieldOf, inWords, subjectId } from '../subject.ts';
import { summaryMessage } from '../summaries.ts';

/** Tells how a subject was rated. */
export function getSummary({
  summaries,
}: Pick<Reading, 'summaries'>): Handler<typeof RatingsService.method.getSummary> {
  return async ({ subject }) => {
    const about = subject?.about ?? { case: undefined };
    const summary = await summaries.of(subjectId(about));
    if (!summary) throw problem(fieldOf(about), `there is no ${inWords(about)}`, Code.NotFound);
    return { summary: summaryMessage(summary) };
  };
}
