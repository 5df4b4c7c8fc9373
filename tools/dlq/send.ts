import { redriveTopic } from '@tradewind/messaging/contract';
import { type Correction, discardOf, isDiscard, redriveOf } from '@tradewind/messaging/dead-letter';
import { boundsIfThere, deadLetterIn, eventOf, readBetween } from '@tradewind/messaging/dead-letters';
import type { EventLog, LogRecord, Position } from '@tradewind/messaging/log';
import { delay } from '@tradewind/process/backoff';
import { type Letter, recordsOf } from './letters.ts';

/** What is to become of letters. */
export interface Errand {
  readonly action: 'redrive' | 'discard';
  /** Takes the place of the payload; for a single letter. */
  readonly correction?: Correction;
  /** Why it is discarded. */
  readonly because?: string;
  /** Records a second at most. */
  readonly rate?: number;
}

/** Where the records lie that were sent for an event, those of an earlier errand among them; by `eventOf`. */
export type Sent = Map<string, Position[]>;

const CHUNK = 200;
/** A second's records go out in so many portions. */
const PORTIONS = 10;

/**
 * Appends what the errand asks for, letter by letter in the order of their deaths, to the groups that gave up on them. What is sent stays
 * in `sent` when it rejects half-way.
 */
export async function send(
  log: EventLog,
  letters: readonly Letter[],
  errand: Errand,
  sent: Sent,
  signal: AbortSignal,
  onSent: (count: number) => void,
): Promise<void> {
  const { action, correction, because, rate } = errand;
  const most = rate === undefined ? CHUNK : Math.min(CHUNK, Math.max(1, Math.floor(rate / PORTIONS)));
  await using producer = await log.producer();
  const began = performance.now();
  let count = 0;
  let chunk: { event: string; record: LogRecord }[] = [];
  const flush = async () => {
    const due = rate === undefined ? 0 : (count / rate) * 1_000 - (performance.now() - began);
    await delay(Math.max(0, due), signal);
    const places = await producer.append(chunk.map(({ record }) => record));
    for (const [index, { event }] of chunk.entries()) {
      const place = places[index];
      if (place) sent.set(event, [...(sent.get(event) ?? []), place]);
    }
    count += chunk.length;
    chunk = [];
    onSent(count);
  };
  for await (const letter of recordsOf(log, letters)) {
    const parsed = deadLetterIn(letter);
    if (!parsed) continue;
    const record = action === 'discard' ? discardOf(letter, because) : redriveOf(letter, correction);
    chunk.push({ event: eventOf(parsed), record });
    if (chunk.length >= most) await flush();
  }
  if (chunk.length > 0) await flush();
}

/**
 * What was sent to groups before and is not read by them yet: where it lies, by event. To send it again would only make it wait twice.
 */
export async function underWay(
  log: EventLog,
  groups: Iterable<string>,
  action: Errand['action'],
): Promise<Sent> {
  const found: Sent = new Map();
  for (const group of new Set(groups)) {
    const topic = redriveTopic(group);
    if ((await boundsIfThere(log, topic)).length === 0) continue;
    for (const { partition, committed, end } of await log.lag(group, [topic])) {
      for await (const records of readBetween(log, { topic, partition, offset: committed }, end)) {
        for (const record of records) {
          const { ce_id: id, ce_source: source } = record.headers;
          if (id === undefined || source === undefined || isDiscard(record) !== (action === 'discard'))
            continue;
          const event = eventOf({ group, source, id });
          found.set(event, [...(found.get(event) ?? []), record]);
        }
      }
    }
  }
  return found;
}

/** Whether the groups have read past these places. A group whose progress can't be told has not. */
export async function readPast(log: EventLog, group: string, places: readonly Position[]): Promise<boolean> {
  const lags = await log.lag(group, [redriveTopic(group)]);
  return places.every(({ partition, offset }) =>
    lags.some((lag) => lag.partition === partition && lag.committed > offset),
  );
}
