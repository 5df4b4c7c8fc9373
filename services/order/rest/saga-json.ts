import { type Duration, durationMs, type Timestamp, timestampDate } from '@bufbuild/protobuf/wkt';
import { OrderStatus, type Saga } from '@tradewind/contracts/order/v1/order';
import {
  type SagaLetter,
  SagaLetterState,
  SagaState,
  type SagaStep,
  SagaStepState,
} from '@tradewind/contracts/order/v1/saga';
import { nameIn } from '../saga/names.ts';

/** The saga as the REST face shows it: the contract's fields, spans in whole milliseconds, null for what is not known. */
export function sagaJson(saga: Saga) {
  return {
    order_id: saga.orderId,
    order_status: nameIn(OrderStatus, saga.orderStatus),
    reason: saga.reason,
    state: nameIn(SagaState, saga.state),
    started_at: time(saga.startedAt),
    settled_at: time(saga.settledAt),
    duration_ms: ms(saga.duration),
    observed_at: time(saga.observedAt),
    trace_id: saga.traceId,
    awaits: saga.awaits
      ? {
          topic: saga.awaits.topic,
          service: saga.awaits.service,
          what: saga.awaits.what,
          why: saga.awaits.why,
          next: saga.awaits.next,
          since: time(saga.awaits.since),
          late_by_ms: ms(saga.awaits.lateBy),
        }
      : null,
    steps: saga.steps.map(stepJson),
    dead_letters: saga.deadLetters.map(letterJson),
    unknowns: saga.unknowns.map(({ about, why }) => ({ about, why })),
  };
}

function stepJson(step: SagaStep) {
  return {
    topic: step.topic,
    told_by: step.toldBy,
    heard_by: step.heardBy,
    state: nameIn(SagaStepState, step.state),
    event_id: step.eventId,
    place: step.place,
    written_at: time(step.writtenAt),
    appended_at: time(step.appendedAt),
    heard_at: time(step.heardAt),
    in_outbox_ms: ms(step.inOutbox),
    on_topic_ms: ms(step.onTopic),
    in_retry_ms: ms(step.inRetry),
    in_handling_ms: ms(step.inHandling),
    ahead: Number(step.ahead),
    attempts: step.attempts,
    next_attempt_at: time(step.nextAttemptAt),
    trace_id: step.traceId,
  };
}

function letterJson(letter: SagaLetter) {
  return {
    place: letter.place,
    topic: letter.topic,
    event_id: letter.eventId,
    group: letter.group,
    state: nameIn(SagaLetterState, letter.state),
    reason: letter.reason,
    attempts: letter.attempts,
    first_failure: time(letter.firstFailure),
    last_failure: time(letter.lastFailure),
    appended_at: time(letter.appendedAt),
    trace_id: letter.traceId,
  };
}

const time = (stamp: Timestamp | undefined) => (stamp ? timestampDate(stamp).toISOString() : null);
const ms = (duration: Duration | undefined) => (duration ? Math.round(durationMs(duration)) : null);
