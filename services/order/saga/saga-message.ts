import type { MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs, timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { SagaSchema } from '@tradewind/contracts/order/v1/order';
import {
  type SagaLetterSchema,
  type SagaStepSchema,
  SagaStepState as State,
} from '@tradewind/contracts/order/v1/saga';
import { statuses } from '../rpc/order-message.ts';
import type { Evidence } from './evidence.ts';
import { canceled, confirmed } from './legs.ts';
import { type Letter, lettersOf } from './letters.ts';
import { standingOf } from './standing.ts';
import type { Step } from './step.ts';
import { handlingMs, stepsOf } from './steps.ts';
import { unknownsOf } from './unknowns.ts';
import { wordsFor } from './words.ts';

/** The saga as the contract shows it. */
export function sagaMessage(evidence: Evidence, lateAfterMs: number): MessageInitShape<typeof SagaSchema> {
  const { order } = evidence;
  const steps = stepsOf(evidence);
  const letters = lettersOf(evidence);
  const { state, awaited, since, lateMs } = standingOf(evidence, steps, letters, lateAfterMs);
  const settledAt = settledAtOf(evidence, steps);
  return {
    orderId: order.id,
    orderStatus: statuses[order.status],
    reason: order.reason,
    state,
    startedAt: timestampFromDate(order.startedAt),
    ...stamp('settledAt', settledAt),
    ...span('duration', between(order.startedAt, settledAt ?? order.now)),
    observedAt: timestampFromDate(order.now),
    traceId: steps.find(({ traceId }) => traceId !== undefined)?.traceId ?? '',
    ...(awaited && {
      awaits: {
        ...wordsFor(awaited, evidence),
        since: timestampFromDate(since),
        ...span('lateBy', lateMs),
      },
    }),
    steps: steps.map((step) =>
      stepMessage(step, {
        handledInMs: handlingMs(step, steps),
        failedAt: failedAt(step, letters),
        now: order.now,
      }),
    ),
    deadLetters: letters.map(letterMessage),
    unknowns: unknownsOf(evidence),
  };
}

/** The first fact of an outcome says when there was one; of an order without it, the row does. */
function settledAtOf({ order }: Evidence, steps: readonly Step[]): Date | undefined {
  if (order.status === 'PENDING') return undefined;
  const outcome = steps.find(
    ({ leg, writtenAt, source }) =>
      (leg === confirmed || leg === canceled) && source === leg.toldBy && writtenAt !== undefined,
  );
  return outcome?.writtenAt ?? order.updatedAt;
}

/** Its dead letters know when the group failed at it first. */
function failedAt({ id, leg }: Step, letters: readonly Letter[]): Date | undefined {
  const times = letters
    .filter((letter) => letter.id === id && letter.group === leg.heardBy)
    .flatMap(({ firstFailure }) => firstFailure ?? []);
  return times.sort((a, b) => a.getTime() - b.getTime())[0];
}

interface Times {
  readonly handledInMs: number | undefined;
  readonly failedAt: Date | undefined;
  readonly now: Date;
}

function stepMessage(
  step: Step,
  { handledInMs, failedAt: failed, now }: Times,
): MessageInitShape<typeof SagaStepSchema> {
  const { leg, state, id, place, writtenAt, appendedAt, heardAt, ahead, nextAttemptAt } = step;
  const leftAt = appendedAt ?? (state === State.IN_OUTBOX ? now : undefined);
  const waits = state === State.ON_TOPIC;
  return {
    topic: leg.topic,
    toldBy: step.source,
    heardBy: leg.heardBy ?? '',
    state,
    eventId: id,
    place: place ?? '',
    ...stamp('writtenAt', writtenAt),
    ...stamp('appendedAt', appendedAt),
    ...stamp('heardAt', heardAt),
    ...span('inOutbox', between(writtenAt, leftAt)),
    ...stamp('firstFailedAt', failed),
    ...span('onTopic', between(appendedAt, failed ?? heardAt ?? (waits ? now : undefined))),
    ...span('inRetry', between(failed, heardAt)),
    ...span('inHandling', handledInMs),
    ahead: BigInt(ahead),
    attempts: step.attempts,
    ...stamp('nextAttemptAt', nextAttemptAt),
    traceId: step.traceId ?? '',
  };
}

function letterMessage(letter: Letter): MessageInitShape<typeof SagaLetterSchema> {
  const { place, topic, id, group, state, reason, attempts, traceId } = letter;
  return {
    place: place ?? '',
    topic,
    eventId: id,
    group,
    state,
    reason,
    attempts,
    ...stamp('firstFailure', letter.firstFailure),
    ...stamp('lastFailure', letter.lastFailure),
    ...stamp('appendedAt', letter.appendedAt),
    traceId: traceId ?? '',
  };
}

function between(from: Date | undefined, to: Date | undefined): number | undefined {
  return from && to && Math.max(0, to.getTime() - from.getTime());
}

function stamp<Name extends string>(name: Name, time: Date | undefined) {
  return time === undefined
    ? {}
    : ({ [name]: timestampFromDate(time) } as Record<Name, ReturnType<typeof timestampFromDate>>);
}

function span<Name extends string>(name: Name, ms: number | undefined) {
  return ms === undefined
    ? {}
    : ({ [name]: durationFromMs(ms) } as Record<Name, ReturnType<typeof durationFromMs>>);
}
