import { boundsIfThere } from '@tradewind/messaging/dead-letters';
import type { EventLog } from '@tradewind/messaging/log';
import { type Group, groups, readBy } from '../dlq/groups.ts';
import type { GroupReport } from './report.ts';

/** How far each group is behind, and for how long. A topic that is not there has nothing to read. */
export async function lookAtGroups(log: EventLog): Promise<GroupReport[]> {
  return await Promise.all(groups.map((group) => lookAtGroup(log, group)));
}

async function lookAtGroup(log: EventLog, group: Group): Promise<GroupReport> {
  const topics: string[] = [];
  for (const topic of readBy(group)) if ((await boundsIfThere(log, topic)).length > 0) topics.push(topic);
  const lags = topics.length > 0 ? await log.lag(group.name, topics) : [];
  const behind = lags.filter(({ lag }) => lag > 0n);
  const unread = await Promise.all(
    behind.map(async ({ topic, partition, committed }) => {
      const [next] = await log.read({ topic, partition, offset: committed }, 1);
      return next ? [Date.now() - next.appendedAt.getTime()] : [];
    }),
  );
  const ages = unread.flat();
  return {
    group: group.name,
    lag: behind.reduce((sum, { lag }) => sum + Number(lag), 0),
    ...(ages.length > 0 && { oldest_unread_ms: Math.max(0, ...ages) }),
    behind: behind.map(({ topic, partition, committed, end, lag }) => ({
      topic,
      partition,
      committed: committed.toString(),
      end: end.toString(),
      lag: Number(lag),
    })),
  };
}
