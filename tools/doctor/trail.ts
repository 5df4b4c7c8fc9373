import { contextOf } from '@tradewind/messaging/event';
import { pagesOfKey, partitionOfKey } from '@tradewind/messaging/find-records';
import type { EventLog, Position, ReceivedRecord } from '@tradewind/messaging/log';
import { type HeldRow, inInbox } from '@tradewind/messaging/trail';
import type { Asked } from '@tradewind/process/ask';
import type { Pool } from 'pg';
import { type Letter, placeText } from '../dlq/letters.ts';
import { lookInto } from './databases.ts';
import type { Whereabout } from './report.ts';

/** What is known, or can be asked, of events on their way. */
export interface Trail {
  readonly log: Asked<EventLog>;
  /** Dead letters as far as they could be read. */
  readonly letters: Asked<readonly Letter[]>;
  /** Held events of the orders in question, by group. */
  readonly held: Readonly<Record<string, Asked<readonly HeldRow[]>>>;
  readonly pools: Readonly<Record<string, Pool>>;
}

/** Records that are looked at in one partition, towards the end from where a group is, and back from there. */
const AHEAD = 5_000n;
const BACK = 2_000n;

/** Where the event of a key is, that a group hears from a topic: held, not read yet, dead, or handled. */
export async function whereIs(trail: Trail, group: string, topic: string, key: string): Promise<Whereabout> {
  const { log, letters, held } = trail;
  const rows = held[group];
  const row =
    rows && 'answer' in rows ? rows.answer.find((one) => one.topic === topic && one.key === key) : undefined;
  if (row) {
    const { ahead, attempts, error, next_attempt_at } = row;
    return {
      at: 'held',
      group,
      topic,
      ahead,
      attempts,
      error,
      next_attempt_at: next_attempt_at.toISOString(),
    };
  }
  if ('why' in log) return { at: 'unknown', why: `the event log: ${log.why}` };
  const { unread, seen } = await lookOnTopic(log.answer, group, topic, key);
  if (unread) return unread;
  const dead =
    'answer' in letters ? letters.answer.find((letter) => isOf(letter, group, topic, key)) : undefined;
  if (dead) {
    const { reason, error, id } = dead;
    return { at: 'dead letter', group, topic, reason, error, id, place: placeText(dead.place) };
  }
  if ('why' in letters) return { at: 'unknown', why: `the dead letters: ${letters.why}` };
  const state = seen && (await stateOf(trail, log.answer, group, seen));
  return state ? { at: 'handled', group, topic, state } : { at: 'nowhere', group, topic };
}

function isOf({ standing, ...letter }: Letter, group: string, topic: string, key: string): boolean {
  const undecided = standing.state === 'open' || standing.state === 'unknown';
  return undecided && letter.group === group && letter.origin.topic === topic && letter.key === key;
}

/** The record of a key in its partition: the first that the group has not read, or else the last that it has. */
async function lookOnTopic(
  log: EventLog,
  group: string,
  topic: string,
  key: string,
): Promise<{ unread?: Whereabout; seen?: ReceivedRecord }> {
  const own = await partitionOfKey(log, topic, key);
  if (!own) return {};
  const { partition } = own;
  const committed =
    (await log.lag(group, [topic])).find((one) => one.partition === partition)?.committed ?? own.start;
  const place: Position = { topic, partition, offset: committed };
  const unread = await firstOf(log, place, min(own.end, committed + AHEAD), key);
  if (unread) {
    const { offset } = unread;
    const ahead = Number(offset - committed);
    return { unread: { at: 'topic', group, topic, partition, offset: offset.toString(), ahead } };
  }
  const from = committed - BACK > own.start ? committed - BACK : own.start;
  let seen: ReceivedRecord | undefined;
  for await (const { records } of pagesOfKey(log, { ...place, offset: from }, committed, key))
    seen = records.at(-1) ?? seen;
  return seen ? { seen } : {};
}

async function firstOf(
  log: EventLog,
  from: Position,
  end: bigint,
  key: string,
): Promise<ReceivedRecord | undefined> {
  for await (const { records } of pagesOfKey(log, from, end, key)) if (records[0]) return records[0];
  return undefined;
}

const min = (a: bigint, b: bigint) => (a < b ? a : b);

/** What the group's inbox says of a record; undefined when it does not know it. */
async function stateOf(
  { pools }: Trail,
  log: EventLog,
  group: string,
  record: ReceivedRecord,
): Promise<string | undefined> {
  const pool = pools[group];
  return pool && (await inInbox(lookInto(pool), group, [contextOf(record, log.id)]))[0]?.state;
}
