import { SagaLetterState, SagaState, SagaStepState as State } from '@tradewind/contracts/order/v1/saga';
import type { Evidence } from './evidence.ts';
import { canceled, confirmed, created, exceeded, type Leg, reserved } from './legs.ts';
import type { Letter } from './letters.ts';
import type { Step } from './step.ts';

/** What the saga waits for: an event that has to move, or one that is missing. */
export type Awaited =
  | { readonly step: Step; readonly letter?: Letter | undefined }
  | {
      readonly missing: Leg;
      /** The event whose outcome is missing, if one is known. */
      readonly handled?: Step | undefined;
      /** Everybody was asked, and nobody has it. */
      readonly everywhere: boolean;
    };

export interface Standing {
  readonly state: SagaState;
  /** Undefined when it is settled. */
  readonly awaited?: Awaited;
  /** Milliseconds beyond what is normal; undefined when it is not late. */
  readonly lateMs?: number | undefined;
  /** Since when it waits. */
  readonly since: Date;
}

const moving: ReadonlySet<State> = new Set([State.IN_OUTBOX, State.ON_TOPIC]);
const retrying: ReadonlySet<State> = new Set([State.RETRYING, State.IN_LINE]);
const unclear: ReadonlySet<State> = new Set([State.READ, State.UNKNOWN]);

/** Where the saga stands, by the event that is nearest to its end. */
export function standingOf(
  evidence: Evidence,
  steps: readonly Step[],
  letters: readonly Letter[],
  lateAfterMs: number,
): Standing {
  const { order } = evidence;
  const pending = order.status === 'PENDING';
  const found = pending ? openStanding(evidence, steps, letters) : closedStanding(evidence, steps, letters);
  const since = pending ? order.startedAt : sinceOf(found.awaited, order.updatedAt);
  const late = order.now.getTime() - since.getTime() - lateAfterMs;
  if (found.state === SagaState.SETTLED) return { ...found, since };
  // What nobody has may be between two of them just now.
  const state = found.state === SagaState.LOST && late <= 0 ? SagaState.WAITING : found.state;
  return { ...found, state, since, ...(late > 0 && { lateMs: late }) };
}

type Found = Pick<Standing, 'state' | 'awaited'>;

function sinceOf(awaited: Awaited | undefined, otherwise: Date): Date {
  return (awaited && 'step' in awaited && (awaited.step.writtenAt ?? awaited.step.appendedAt)) || otherwise;
}

/** Of an order that is PENDING: stock's answer has to come back, or the question has to get there. */
function openStanding(evidence: Evidence, steps: readonly Step[], letters: readonly Letter[]): Found {
  const answers = steps.filter(({ leg }) => leg === reserved || leg === exceeded);
  const questions = steps.filter(({ leg }) => leg === created);
  const underWay = nearest(answers, letters) ?? nearest(questions, letters);
  if (underWay) return underWay;
  const handled = questions.findLast(({ state }) => state === State.HANDLED);
  if (handled) {
    return missing(reserved, everybodyAsked(evidence, [reserved, exceeded]), handled);
  }
  const dead = given(answers, letters) ?? given(questions, letters);
  if (dead) return dead;
  return missing(created, everybodyAsked(evidence, [created]));
}

/** Of an order that has its outcome: those who have to hear of it have to. */
function closedStanding(evidence: Evidence, steps: readonly Step[], letters: readonly Letter[]): Found {
  const leg = evidence.order.status === 'CANCELED' ? canceled : confirmed;
  const outcomes = steps.filter((step) => step.leg === leg);
  const settled: Found = { state: SagaState.SETTLED };
  if (leg === confirmed) return nearest(outcomes, letters) ?? settled;
  if (outcomes.some(({ state }) => state === State.HANDLED || state === State.DISCARDED)) return settled;
  const found = nearest(outcomes, letters) ?? given(outcomes, letters);
  if (found) return forgotten(evidence, found) ? settled : found;
  if (mayBeGone(evidence)) return settled;
  return missing(canceled, everybodyAsked(evidence, [canceled]));
}

function missing(leg: Leg, everywhere: boolean, handled?: Step): Found {
  const state = everywhere ? SagaState.LOST : SagaState.UNKNOWN;
  return { state, awaited: { missing: leg, everywhere, handled } };
}

/** The event that moves, else the one that is tried again, else the one of which nobody knows; the newest of each. */
function nearest(steps: readonly Step[], letters: readonly Letter[]): Found | undefined {
  const last = (states: ReadonlySet<State>) => steps.findLast(({ state }) => states.has(state));
  const back = letters.find(
    ({ id, state }) => state === SagaLetterState.SENT_BACK && steps.some((step) => step.id === id),
  );
  const step = last(moving) ?? steps.find(({ id }) => id === back?.id);
  if (step) return { state: SagaState.WAITING, awaited: { step, letter: back } };
  const again = last(retrying);
  if (again) return { state: SagaState.RETRYING, awaited: { step: again } };
  const open = last(unclear);
  return open && { state: SagaState.UNKNOWN, awaited: { step: open } };
}

/** The newest event that its group gave up on. */
function given(steps: readonly Step[], letters: readonly Letter[]): Found | undefined {
  const step = steps.findLast(({ state }) => state === State.DEAD_LETTERED || state === State.DISCARDED);
  const letter = step && letters.find(({ id, group }) => id === step.id && group === step.leg.heardBy);
  return step && { state: SagaState.DEAD_LETTERED, awaited: { step, letter } };
}

/** Whether what is not found is nowhere. */
function everybodyAsked({ trails: { order, stock }, log, moving }: Evidence, legs: readonly Leg[]): boolean {
  if (moving || 'why' in log || 'why' in stock || 'why' in order) return false;
  const { found } = log.answer;
  return (
    legs.every(({ topic }) => found.get(topic)?.complete && !found.get(topic)?.cut) &&
    [order, stock].every(({ answer }) => !answer.factsIncomplete && !answer.heldIncomplete)
  );
}

/** Read by a group that was asked and does not know it any more: its inbox remembers for longer than any retry takes. */
function forgotten({ trails, log }: Evidence, { awaited }: Found): boolean {
  if (!awaited || 'missing' in awaited || awaited.step.state !== State.READ || 'why' in log) return false;
  const { heardBy } = awaited.step.leg;
  return heardBy !== undefined && 'answer' in trails[heardBy];
}

/** Whether the order is so old that the log need not have its events any more. */
function mayBeGone({ log }: Evidence): boolean {
  return 'answer' in log && log.answer.found.get(canceled.topic)?.cut === true;
}
