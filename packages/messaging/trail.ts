import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import {
  EventState,
  type HeardEventSchema,
  type HeldEventSchema,
  type WaitingFactSchema,
} from '@tradewind/contracts/messaging/v1/inspection';
import { bisect } from './bisect.ts';
import { storable } from './event.ts';
import type { InboxState } from './inbox.ts';

/** Runs a statement in a service's database, where nothing is to be changed. */
export type Look = <Row extends object>(text: string, values: unknown[]) => Promise<Row[]>;

/** An event as its group's inbox has it. */
export interface InboxRow {
  readonly source: string;
  readonly id: string;
  readonly state: InboxState;
  readonly redrive: string | null;
  readonly handled_at: Date;
}

const INBOX = `
  SELECT inbox.source, inbox.id, inbox.state, inbox.redrive, inbox.handled_at
  FROM unnest($2::text[], $3::text[]) AS event (source, id)
  JOIN inbox ON inbox.consumer_group = $1 AND inbox.source = event.source AND inbox.id = event.id`;

/** What a group's inbox says of events; those that it does not know are left out. */
export async function inInbox(look: Look, group: string, events: readonly Named[]): Promise<InboxRow[]> {
  if (events.length === 0) return [];
  return await look<InboxRow>(INBOX, [group, ...namesOf(events)]);
}

/** An event that is held, with the line that it is in. */
export interface HeldRow {
  readonly topic: string;
  readonly key: string;
  readonly source: string;
  readonly id: string;
  readonly place: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly appended_at: Date;
  readonly held_at: Date;
  readonly attempts: number;
  readonly error: string;
  readonly next_attempt_at: Date;
  /** Events of the line that come first, counted to 100. */
  readonly ahead: number;
}

/** Events of one line that are told, the oldest first; a line may have as many as HELD_MAX. */
const MOST_HELD = 100;
const COLUMNS = `line.topic, line.key, event.source, event.id, event.headers, event.appended_at, event.held_at,
    event.record_topic || '/' || event.record_partition || '/' || event.record_offset AS place,
    line.attempts, coalesce(line.error, '') AS error, line.next_attempt_at`;
// Line by line, so that no more than the rows that are told are read of any.
const HELD = `
  SELECT ${COLUMNS}, event.ahead
  FROM held_line line CROSS JOIN LATERAL (
    SELECT *, (row_number() OVER (ORDER BY position) - 1)::int AS ahead FROM held_event
    WHERE (consumer_group, topic, key) = (line.consumer_group, line.topic, line.key) ORDER BY position LIMIT $3) AS event
  WHERE line.consumer_group = $1 AND line.key = ANY($2::text[]) ORDER BY event.position`;
const HELD_NAMED = `
  SELECT ${COLUMNS}, (SELECT count(*)::int FROM (SELECT FROM held_event other
      WHERE (other.consumer_group, other.topic, other.key) = (event.consumer_group, event.topic, event.key)
        AND other.position < event.position ORDER BY other.position LIMIT $5) AS first) AS ahead
  FROM unnest($3::text[], $4::text[]) AS name (source, id)
  JOIN held_event event ON event.consumer_group = $1 AND event.source = name.source AND event.id = name.id
  JOIN held_line line ON (line.consumer_group, line.topic, line.key) = (event.consumer_group, event.topic, event.key)
  WHERE event.key = $2 ORDER BY event.position`;

/** The first events of keys that a group holds, in the order in which they wait. */
export async function held(look: Look, group: string, keys: readonly string[]): Promise<HeldRow[]> {
  return (await firstHeld(look, group, keys)).rows;
}

async function firstHeld(
  look: Look,
  group: string,
  keys: readonly string[],
): Promise<{ rows: HeldRow[]; complete: boolean }> {
  const found = await look<HeldRow>(HELD, [group, keys, MOST_HELD + 1]);
  const rows = found.filter(({ ahead }) => ahead < MOST_HELD);
  return { rows, complete: rows.length === found.length };
}

/** The same for one key, with those that are asked for by name, however far behind they are. */
async function heldOf(
  look: Look,
  group: string,
  key: string,
  events: TrailQuestion['events'],
): Promise<{ rows: HeldRow[]; complete: boolean }> {
  const first = await firstHeld(look, group, [key]);
  if (first.complete || events.length === 0) return first;
  const asked = await look<HeldRow>(HELD_NAMED, [group, key, ...namesOf(events), MOST_HELD]);
  const known = new Set(first.rows.map(nameOf));
  return { rows: [...first.rows, ...asked.filter((row) => !known.has(nameOf(row)))], complete: false };
}

interface Named {
  readonly source: string;
  readonly id: string;
}

const nameOf = ({ source, id }: Named) => `${source}\n${id}`;
const namesOf = (events: readonly Named[]) => [
  events.map(({ source }) => source),
  events.map(({ id }) => id),
];

/** A fact that is in an outbox. */
export interface FactRow {
  /** As it will be known on the log: a dead letter keeps the event's. */
  readonly id: string;
  readonly topic: string;
  readonly key: string;
  readonly traceparent: string | null;
  readonly created_at: Date;
  /** Milliseconds since it was written. */
  readonly ms: number;
}

const FACTS = `
  SELECT coalesce(headers->>'ce_id', id::text) AS id, aggregatetype AS topic, aggregateid AS key, traceparent, created_at,
    extract(epoch FROM clock_timestamp() - created_at)::float8 * 1000 AS ms
  FROM (SELECT * FROM outbox WHERE position >= $2 ORDER BY position LIMIT $3) AS row
  WHERE aggregateid = ANY($1::text[]) ORDER BY position`;
const FROM_START = '-9223372036854775808';

/** The facts of keys that are in an outbox, in the order in which they leave. */
export async function inOutbox(look: Look, keys: readonly string[]): Promise<FactRow[]> {
  return await look<FactRow>(FACTS, [keys, FROM_START, null]);
}

/** Rows of an outbox that one question looks through; normally there are hardly any. */
const MOST_FACTS = 50_000;
/** What was written at the same time may have taken its position a little earlier. */
const SLACK_MS = 10_000;
const DEPTH = 'SELECT count(*)::int AS depth FROM (SELECT FROM outbox WHERE position >= $1 LIMIT $2) AS row';
const ENDS = 'SELECT min(position)::text AS start, (max(position) + 1)::text AS "end" FROM outbox';
const NEXT =
  'SELECT position::text AS at, created_at < $2 AS early FROM outbox WHERE position >= $1 ORDER BY position LIMIT 1';

/** The same for one key in an outbox that may be as long as the log was away. */
async function inLongOutbox(
  look: Look,
  key: string,
  since: Date | undefined,
): Promise<{ rows: FactRow[]; complete: boolean }> {
  const isLong = async (start: string) =>
    ((await look<{ depth: number }>(DEPTH, [start, MOST_FACTS + 1]))[0]?.depth ?? 0) > MOST_FACTS;
  let start = FROM_START;
  let complete = !(await isLong(start));
  if (!complete && since) {
    start = String(await positionAt(look, new Date(since.getTime() - SLACK_MS)));
    complete = !(await isLong(start));
  }
  return { rows: await look<FactRow>(FACTS, [[key], start, MOST_FACTS]), complete };
}

async function positionAt(look: Look, time: Date): Promise<bigint> {
  const [ends] = await look<{ start: string | null; end: string }>(ENDS, []);
  if (!ends?.start) return 0n;
  return await bisect({ start: BigInt(ends.start), end: BigInt(ends.end) }, 1_000n, async (from) => {
    const [row] = await look<{ at: string; early: boolean }>(NEXT, [from.toString(), time]);
    return row && { at: BigInt(row.at), early: row.early };
  });
}

/** What is asked about the events of a key. */
export interface TrailQuestion {
  readonly key: string;
  readonly events: readonly Named[];
  readonly factsSince?: Date | undefined;
}

const states: Readonly<Record<InboxState, EventState>> = {
  done: EventState.HANDLED,
  held: EventState.HELD,
  dead: EventState.DEAD,
  discarded: EventState.DISCARDED,
};

/** What is known, as the contract shows it. */
export interface Trail {
  readonly heard: MessageInitShape<typeof HeardEventSchema>[];
  readonly heldIncomplete: boolean;
  readonly facts: MessageInitShape<typeof WaitingFactSchema>[];
  readonly factsIncomplete: boolean;
}

/** Everything that a service's database knows of the events of a key. */
export async function trailOf(
  look: Look,
  group: string,
  { key, events, factsSince }: TrailQuestion,
): Promise<Trail> {
  // Before the inbox: what is settled between the two looks is held in the first and handled in the second, and nowhere missing.
  const waiting = await heldOf(look, group, key, events);
  const rows = new Map(waiting.rows.map((row) => [nameOf(row), row]));
  // One after the other: whoever asks gets one connection of the service's, not two.
  const known = await inInbox(look, group, named(events, waiting.rows));
  const facts = await inLongOutbox(look, key, factsSince);
  return {
    heard: known.map(({ source, id, state, redrive, handled_at }) => {
      const row = rows.get(nameOf({ source, id }));
      return {
        source,
        id,
        state: states[state],
        at: timestampFromDate(handled_at),
        redrive: redrive ?? '',
        ...(row && state === 'held' && { held: heldMessage(row) }),
      };
    }),
    facts: facts.rows.map(({ id, topic, created_at, traceparent }) => ({
      id,
      topic,
      writtenAt: timestampFromDate(created_at),
      traceparent: traceparent ?? '',
    })),
    factsIncomplete: !facts.complete,
    heldIncomplete: !waiting.complete,
  };
}

function named(events: TrailQuestion['events'], waiting: readonly HeldRow[]): TrailQuestion['events'] {
  return [...new Map([...events, ...waiting].map((event) => [nameOf(event), event])).values()];
}

function heldMessage(row: HeldRow): MessageInitShape<typeof HeldEventSchema> {
  const { topic, place, headers, appended_at, ahead, attempts, next_attempt_at } = row;
  return {
    topic,
    place,
    appendedAt: timestampFromDate(appended_at),
    traceparent: storable(headers.traceparent ?? ''),
    ahead,
    attempts,
    nextAttemptAt: timestampFromDate(next_attempt_at),
  };
}
