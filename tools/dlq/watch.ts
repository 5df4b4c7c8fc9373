import { boundsIfThere, type DeadLetter, deadLetterIn, readBetween } from '@tradewind/messaging/dead-letters';
import type { EventLog } from '@tradewind/messaging/log';
import { delay } from '@tradewind/process/backoff';
import { reasonOf } from '@tradewind/process/wait-for';
import { type Filter, matches, topicsFor } from './letters.ts';

const POLL_MS = 250;
const AWAY_MS = 2_000;

/**
 * Tells of each new dead letter, until the signal aborts. Letters that were there before are told of only as far as the filter's `since`
 * reaches back. A log that is away is waited for.
 * @param onReady called once everything that comes from now on will be told of
 */
export async function watch(
  log: EventLog,
  filter: Filter,
  signal: AbortSignal,
  { onLetter, onReady, onAway }: Watcher,
): Promise<void> {
  /** Next offset, by topic and partition. */
  const next = new Map<string, bigint>();
  let ready = false;
  for (let away = false; !signal.aborted; ) {
    try {
      for (const topic of topicsFor(filter)) {
        for await (const letter of newOnes(log, topic, next, ready || filter.since !== undefined))
          if (matches(letter, filter)) onLetter(letter);
      }
      if (!ready) onReady();
      ready = true;
      away = false;
      await delay(POLL_MS, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!away) onAway(reasonOf(error));
      away = true;
      await delay(AWAY_MS, signal).catch(() => undefined);
    }
  }
}

export interface Watcher {
  readonly onLetter: (letter: DeadLetter) => void;
  readonly onReady: () => void;
  readonly onAway: (why: string) => void;
}

/** What came since the last look; on the first look everything, or nothing. A topic that was made meanwhile is new as a whole. */
async function* newOnes(
  log: EventLog,
  topic: string,
  next: Map<string, bigint>,
  fromStart: boolean,
): AsyncGenerator<DeadLetter> {
  for (const { partition, start, end } of await boundsIfThere(log, topic)) {
    const name = `${topic}/${partition}`;
    const offset = next.get(name) ?? (fromStart ? start : end);
    next.set(name, offset);
    for await (const records of readBetween(log, { topic, partition, offset }, end)) {
      for (const record of records) {
        const letter = deadLetterIn(record);
        if (letter) yield letter;
        // Noted one by one, so that a failure half-way repeats nothing.
        next.set(name, record.offset + 1n);
      }
    }
  }
}
