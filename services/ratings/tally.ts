import { timestampDate } from '@bufbuild/protobuf/wkt';
import type { Rated } from '@tradewind/contracts/ratings/v1/events';
import type { EventContext } from '@tradewind/messaging/event';
import { subjectId } from './subject.ts';

/** Ratings of each value, from 1 to 5. */
export type Counts = readonly [number, number, number, number, number];

export const NONE: Counts = [0, 0, 0, 0, 0];

/** What one event, or several of one subject, change in its tally. */
export interface Delta {
  readonly subject: string;
  readonly counts: Counts;
  /** When the newest of them was rated. */
  readonly changedAt: Date;
}

/** What an event changes: a new rating adds one, a changed one takes back what it was. */
export function deltaOf(event: Rated, { record }: Pick<EventContext, 'record'>): Delta {
  const counts: [number, number, number, number, number] = [...NONE];
  counts[event.value - 1] = 1;
  if (event.previousValue !== undefined)
    counts[event.previousValue - 1] = (counts[event.previousValue - 1] ?? 0) - 1;
  return {
    subject: subjectId(event.about),
    counts,
    // To the millisecond, so that every store holds the same.
    changedAt: event.ratedAt ? timestampDate(event.ratedAt) : record.appendedAt,
  };
}

/** The changes of each subject as one, in the order of the subjects, so that those who write them never wait for each other in a ring. */
export function addUp(deltas: readonly Delta[]): Delta[] {
  const sums = new Map<string, Delta>();
  for (const delta of deltas) {
    const sum = sums.get(delta.subject);
    sums.set(delta.subject, sum ? added(sum, delta) : delta);
  }
  return [...sums.values()].sort((a, b) => (a.subject < b.subject ? -1 : 1));
}

function added(a: Delta, b: Delta): Delta {
  return {
    subject: a.subject,
    counts: a.counts.map((count, n) => count + (b.counts[n] ?? 0)) as unknown as Counts,
    changedAt: a.changedAt > b.changedAt ? a.changedAt : b.changedAt,
  };
}

/** How many ratings there are. */
export function countOf(counts: Counts): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** The average, from whole numbers each time, so that nothing drifts: the nearest double. 0 when there are no ratings. */
export function averageOf(counts: Counts): number {
  const count = countOf(counts);
  return count === 0 ? 0 : counts.reduce((sum, each, n) => sum + each * (n + 1), 0) / count;
}

/** Columns for unnest: subject, five counts, the time. */
export function columns(deltas: readonly Delta[]): unknown[] {
  return [
    deltas.map(({ subject }) => subject),
    ...NONE.map((_, n) => deltas.map(({ counts }) => counts[n])),
    deltas.map(({ changedAt }) => changedAt),
  ];
}
