import { deadLetterTopic } from '@tradewind/messaging/contract';
import {
  type DeadLetter,
  deadLetterIn,
  eventOf,
  newestOfEach,
  readTopic,
} from '@tradewind/messaging/dead-letters';
import type { EventLog, Position, ReceivedRecord } from '@tradewind/messaging/log';
import { allDeadLetterTopics } from './groups.ts';
import type { Inboxes, LetterState, Standing } from './inboxes.ts';

const UNKNOWN: Standing = { state: 'unknown' };
/** So many letters are read one by one; of more, their topics are read. */
/** So many letters are read one by one; of more, their topics are read. */
const FEW = 20;

/** Which letters are meant. What is left out does not matter. */
export interface Filter {
  /** An event's id, or a place as `topic/partition/offset`: of the letter, or of the record that it was. */
  readonly ref?: string;
  /** Of the record that it was, or the dead-letter topic. */
  readonly topic?: string;
  readonly group?: string;
  readonly reason?: string;
  /** When the log took the letter: not before, and before. */
  readonly since?: Date;
  readonly until?: Date;
  readonly state?: LetterState;
}

/** The newest letter of an event, and how it stands. */
export interface Letter extends DeadLetter {
  readonly standing: Standing;
}

/** A place, as people write it. */
export function placeText({
  topic,
  partition,
  offset,
}: {
  topic: string;
  partition: number | string;
  offset: bigint | string;
}): string {
  return `${topic}/${partition}/${offset}`;
}

/** The dead-letter topics where letters like these lie. */
export function topicsFor({ topic }: Filter): string[] {
  if (topic === undefined) return allDeadLetterTopics();
  return [topic.endsWith(deadLetterTopic('')) ? topic : deadLetterTopic(topic)];
}

/** Whether a letter is meant, as far as it can tell itself. */
export function matches(letter: DeadLetter, filter: Filter): boolean {
  const { ref, group, reason, since, until } = filter;
  const named =
    ref === undefined || [letter.id, placeText(letter.place), placeText(letter.origin)].includes(ref);
  return (
    named &&
    (group === undefined || letter.group === group) &&
    (reason === undefined || letter.reason === reason) &&
    (since === undefined || letter.appendedAt >= since) &&
    (until === undefined || letter.appendedAt < until)
  );
}

/**
 * The letters that a filter means, the oldest first, each event once by its newest letter.
 * @throws ConnectError when the log can't be read
 */
export async function findLetters(
  log: Pick<EventLog, 'read' | 'bounds'>,
  inboxes: Inboxes,
  filter: Filter,
): Promise<Letter[]> {
  const found: DeadLetter[] = [];
  await Promise.all(
    topicsFor(filter).map(async (topic) => {
      for await (const records of readTopic(log, topic))
        found.push(...records.flatMap((record) => deadLetterIn(record) ?? []));
    }),
  );
  // An older letter's place still names its event.
  const events = new Set(found.filter((letter) => matches(letter, filter)).map(eventOf));
  const newest = newestOfEach(found).filter((letter) =>
    filter.ref === undefined ? matches(letter, filter) : events.has(eventOf(letter)),
  );
  const standings = await inboxes.standings(newest);
  return newest
    .map((letter) => ({ ...letter, standing: standings.get(eventOf(letter)) ?? UNKNOWN }))
    .filter(({ standing }) => filter.state === undefined || standing.state === filter.state);
}

/** The records of letters, payload included, page by page: they are read again, for all payloads at once may not fit. */
export async function* recordsOf(
  log: Pick<EventLog, 'read' | 'bounds'>,
  letters: readonly { readonly place: Position }[],
): AsyncGenerator<ReceivedRecord> {
  const wanted = new Set(letters.map(({ place }) => placeText(place)));
  if (wanted.size <= FEW) {
    for (const { place } of letters)
      yield* (await log.read(place, 1)).filter(({ offset }) => offset === place.offset);
    return;
  }
  for (const topic of new Set(letters.map(({ place }) => place.topic)))
    for await (const page of readTopic(log, topic))
      yield* page.filter((record) => wanted.has(placeText(record)));
}
