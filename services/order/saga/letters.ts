import { timestampDate } from '@bufbuild/protobuf/wkt';
import { EventState, type HeardEvent } from '@tradewind/contracts/messaging/v1/inspection';
import { SagaLetterState as State } from '@tradewind/contracts/order/v1/saga';
import { deadLetterTopic } from '@tradewind/messaging/contract';
import { isDiscard } from '@tradewind/messaging/dead-letter';
import type { DeadLetter } from '@tradewind/messaging/dead-letters';
import { traceIdOf } from '@tradewind/messaging/event';
import { or } from '@tradewind/process/ask';
import type { Evidence } from './evidence.ts';
import { legs, type Party } from './legs.ts';
import type { Redrives } from './log-evidence.ts';
import { heardIn, timeIn } from './step.ts';

/** A dead letter of the saga, and how it stands. */
export interface Letter {
  readonly place: string | undefined;
  readonly topic: string;
  readonly id: string;
  readonly group: Party;
  readonly state: State;
  readonly reason: string;
  readonly attempts: number;
  readonly firstFailure: Date | undefined;
  readonly lastFailure: Date | undefined;
  readonly appendedAt: Date | undefined;
  readonly traceId: string | undefined;
}

/** The dead letters of the saga: those that lie in their topics, and those that are about to leave for them. */
export function lettersOf(evidence: Evidence): Letter[] {
  const { log, trails } = evidence;
  const shown = or(log, undefined);
  const lying = (shown?.letters ?? []).map((letter): Letter => {
    const group = letter.group as Party;
    const trail = or(trails[group], undefined);
    const heard = trail && heardIn(trail, letter);
    const back = shown?.redrives.get(group);
    return { ...lyingLetter(letter, group), state: stateOf(letter, trail !== undefined, heard, back) };
  });
  return [...lying, ...leaving(evidence).filter(({ id }) => lying.every((letter) => letter.id !== id))];
}

/** Whoever can write to a dead-letter topic can write any reason. */
const known: ReadonlySet<string> = new Set(['undecodable', 'rejected', 'failed', 'deadly']);

function lyingLetter(letter: DeadLetter, group: Party): Omit<Letter, 'state'> {
  const { place, origin, id, reason, attempts, appendedAt, traceId } = letter;
  return {
    place: `${place.topic}/${place.partition}/${place.offset}`,
    topic: origin.topic,
    id,
    group,
    reason: known.has(reason) ? reason : 'unknown',
    attempts,
    firstFailure: timeIn(letter.firstFailure),
    lastFailure: timeIn(letter.lastFailure),
    appendedAt,
    traceId,
  };
}

const settled: Readonly<Partial<Record<EventState, State>>> = {
  [EventState.HANDLED]: State.REDRIVEN,
  [EventState.HELD]: State.RETRYING,
  [EventState.DISCARDED]: State.DISCARDED,
};

/** A group that was asked knows; else the log shows whether anybody sent it back, and not what came of that. */
function stateOf(
  letter: DeadLetter,
  asked: boolean,
  heard: HeardEvent | undefined,
  back: Redrives | undefined,
): State {
  const known = heard && settled[heard.state];
  if (known !== undefined) return known;
  if (asked && !heard) return State.UNKNOWN;
  const sent = (back?.records ?? []).filter(
    ({ headers, appendedAt }) => headers.ce_id === letter.id && appendedAt >= letter.appendedAt,
  );
  const last = sent.at(-1);
  if (!last || !back) return State.OPEN;
  if (last.offset >= back.committed) return State.SENT_BACK;
  // Read, and dead all the same: a redrive of something else, or one that came too late.
  if (heard) return State.OPEN;
  return sent.every(isDiscard) ? State.DISCARDED : State.UNKNOWN;
}

/** Letters in the outbox of whoever gave up, which tells no more than that. */
function leaving({ trails }: Evidence): Letter[] {
  return legs.flatMap(({ topic, heardBy }) => {
    const facts = (heardBy && or(trails[heardBy], undefined)?.facts) ?? [];
    return facts
      .filter((fact) => heardBy && fact.topic === deadLetterTopic(topic))
      .map(({ id, traceparent, writtenAt }) => ({
        place: undefined,
        topic,
        id,
        group: heardBy as Party,
        state: State.OPEN,
        reason: '',
        attempts: 0,
        firstFailure: undefined,
        lastFailure: writtenAt && timestampDate(writtenAt),
        appendedAt: undefined,
        traceId: traceIdOf(traceparent),
      }));
  });
}
