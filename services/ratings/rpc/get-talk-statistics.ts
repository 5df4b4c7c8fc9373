import type { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import type { Handler } from '@tradewind/rpc/implement';
import type { Reading } from '../backends.ts';
import { summaryMessage } from '../summaries.ts';
import { unknownTalk } from './rate-talk.ts';

/** Tells how a talk was rated, with what the statistics function makes of it; without, when that can't be reached. */
export function getTalkStatistics({
  summaries,
  statistics,
}: Reading): Handler<typeof RatingsService.method.getTalkStatistics> {
  return async ({ talkId }) => {
    const summary = talkId.includes('/') ? undefined : await summaries.of(talkId);
    if (!summary) throw unknownTalk(talkId);
    const stats = await statistics.of(summary.counts);
    return {
      summary: summaryMessage(summary),
      ...(stats && { statistics: { avg: stats.avg, totalCount: BigInt(stats.totalCount) } }),
    };
  };
}
