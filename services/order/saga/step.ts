import { timestampDate } from '@bufbuild/protobuf/wkt';
import {
  EventState,
  type GetTrailResponse,
  type HeardEvent,
  type WaitingFact,
} from '@tradewind/contracts/messaging/v1/inspection';
import { SagaStepState } from '@tradewind/contracts/order/v1/saga';
import { contextOf, traceIdOf } from '@tradewind/messaging/event';
import type { ReceivedRecord } from '@tradewind/messaging/log';
import type { Leg } from './legs.ts';

/** One event of a saga, with what is known of it. */
export interface Step {
  readonly leg: Leg;
  readonly state: SagaStepState;
  /** Who told it, as the event says. */
  readonly source: string;
  readonly id: string;
  /** `topic/partition/offset`; undefined when its record was not seen. */
  readonly place: string | undefined;
  readonly offset: bigint | undefined;
  readonly writtenAt: Date | undefined;
  readonly appendedAt: Date | undefined;
  /** When its group claimed it last. */
  readonly heardAt: Date | undefined;
  /** Records, or events of its line, that come first. */
  readonly ahead: number;
  readonly attempts: number;
  readonly nextAttemptAt: Date | undefined;
  readonly traceId: string | undefined;
}

const NOTHING = {
  place: undefined,
  offset: undefined,
  writtenAt: undefined,
  appendedAt: undefined,
  heardAt: undefined,
  ahead: 0,
  attempts: 0,
  nextAttemptAt: undefined,
  traceId: undefined,
  state: SagaStepState.UNKNOWN,
} as const;

/** An event whose record is on the log. */
export function onLog(leg: Leg, record: ReceivedRecord, logId: string): Step {
  const { source, id, traceparent } = contextOf(record, logId);
  const { topic, partition, offset, appendedAt, headers } = record;
  const place = `${topic}/${partition}/${offset}`;
  const writtenAt = timeIn(headers.ce_time);
  return {
    ...NOTHING,
    leg,
    source,
    id,
    place,
    offset,
    writtenAt,
    appendedAt,
    traceId: traceIdOf(traceparent),
  };
}

/** An event that is in its teller's outbox. */
export function inOutbox(leg: Leg, { id, writtenAt, traceparent }: WaitingFact): Step {
  return {
    ...NOTHING,
    leg,
    id,
    source: leg.toldBy,
    state: SagaStepState.IN_OUTBOX,
    writtenAt: writtenAt && timestampDate(writtenAt),
    traceId: traceIdOf(traceparent),
  };
}

/** An event whose record was not seen, and that its group holds. */
export function inLine(leg: Leg, event: HeardEvent): Step {
  const { source, id, held } = event;
  const step: Step = {
    ...NOTHING,
    leg,
    source,
    id,
    place: held?.place,
    appendedAt: held?.appendedAt && timestampDate(held.appendedAt),
    traceId: traceIdOf(held?.traceparent),
  };
  return heardAs(step, event);
}

/** The event as its group knows it. */
export function heardIn({ heard }: GetTrailResponse, { source, id }: { source: string; id: string }) {
  return heard.find((one) => one.source === source && one.id === id);
}

/** A time as a header has it; undefined when it is none. */
export function timeIn(text: string | undefined): Date | undefined {
  const time = new Date(text ?? Number.NaN);
  return Number.isNaN(time.getTime()) ? undefined : time;
}

const states: Readonly<Record<EventState, SagaStepState>> = {
  [EventState.UNSPECIFIED]: SagaStepState.UNKNOWN,
  [EventState.HANDLED]: SagaStepState.HANDLED,
  [EventState.HELD]: SagaStepState.RETRYING,
  [EventState.DEAD]: SagaStepState.DEAD_LETTERED,
  [EventState.DISCARDED]: SagaStepState.DISCARDED,
};

/** The step with what its group says of it. */
export function heardAs(step: Step, { state, at, held }: HeardEvent): Step {
  const known = { ...step, state: states[state] ?? SagaStepState.UNKNOWN, heardAt: at && timestampDate(at) };
  if (!held) return known;
  return {
    ...known,
    state: held.ahead > 0 ? SagaStepState.IN_LINE : SagaStepState.RETRYING,
    ahead: held.ahead,
    attempts: held.attempts,
    nextAttemptAt: held.nextAttemptAt && timestampDate(held.nextAttemptAt),
  };
}
