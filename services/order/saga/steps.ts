import type { GetTrailResponse } from '@tradewind/contracts/messaging/v1/inspection';
import { SagaStepState as State } from '@tradewind/contracts/order/v1/saga';
import { or } from '@tradewind/process/ask';
import type { Evidence } from './evidence.ts';
import { created, exceeded, type Leg, legs, reserved } from './legs.ts';
import type { LogEvidence } from './log-evidence.ts';
import { heardAs, heardIn, inLine, inOutbox, onLog, type Step } from './step.ts';

/** Every event of the saga that was seen anywhere, in the order in which they were told. */
export function stepsOf(evidence: Evidence): Step[] {
  const steps = legs.flatMap((leg) => stepsOfLeg(leg, evidence));
  return inferred(steps).toSorted(
    (a, b) => timeOf(a) - timeOf(b) || legs.indexOf(a.leg) - legs.indexOf(b.leg),
  );
}

const timeOf = ({ writtenAt, appendedAt }: Step) => (writtenAt ?? appendedAt)?.getTime() ?? 0;

function stepsOfLeg(leg: Leg, { log, trails }: Evidence): Step[] {
  const steps = new Map<string, Step>();
  // Its first record counts: a relay that crashed sends again, and the inbox absorbs it.
  const add = (step: Step) => {
    const name = `${step.source}\n${step.id}`;
    if (!steps.has(name)) steps.set(name, step);
  };
  const shown = or(log, undefined);
  const listening = leg.heardBy && or(trails[leg.heardBy], undefined);
  for (const record of shown?.found.get(leg.topic)?.records ?? [])
    add(standing(onLog(leg, record, shown?.logId ?? ''), shown, listening));
  for (const event of listening?.heard ?? []) if (event.held?.topic === leg.topic) add(inLine(leg, event));
  for (const fact of or(trails[leg.toldBy], undefined)?.facts ?? [])
    if (fact.topic === leg.topic) add(inOutbox(leg, fact));
  return [...steps.values()];
}

/** Where an event is whose record is on the log. */
function standing(step: Step, log: LogEvidence | undefined, listening: GetTrailResponse | undefined): Step {
  const { leg, offset } = step;
  if (!leg.heardBy) return { ...step, state: State.TOLD };
  const heard = listening && heardIn(listening, step);
  if (heard) return heardAs(step, heard);
  const letter = log?.letters.find(
    ({ group, source, id }) => group === leg.heardBy && source === step.source && id === step.id,
  );
  if (letter) return { ...step, state: State.DEAD_LETTERED, heardAt: letter.appendedAt };
  const committed = log?.committed.get(leg.topic);
  if (offset === undefined || committed === undefined) return step;
  if (offset < committed) return { ...step, state: State.READ };
  return { ...step, state: State.ON_TOPIC, ahead: Number(offset - committed) };
}

/** Stock that can't be asked has handled as many order.created as there are answers, the oldest first. */
function inferred(steps: readonly Step[]): Step[] {
  let answers = steps.filter(({ leg }) => leg === reserved || leg === exceeded).length;
  answers -= steps.filter(({ leg, state }) => leg === created && state === State.HANDLED).length;
  return steps.map((step) => {
    const open = step.leg === created && (step.state === State.READ || step.state === State.ON_TOPIC);
    return open && answers-- > 0 ? { ...step, state: State.HANDLED, ahead: 0 } : step;
  });
}

/** Milliseconds from the claim of an event to the fact that came of it in the same transaction; undefined when none did. */
export function handlingMs(step: Step, steps: readonly Step[]): number | undefined {
  const { heardAt, leg, state } = step;
  if (!heardAt || state !== State.HANDLED) return undefined;
  const next = steps.find(
    (other) =>
      other.leg.toldBy === leg.heardBy &&
      other.source === leg.heardBy &&
      other.writtenAt !== undefined &&
      other.writtenAt >= heardAt &&
      other !== step,
  );
  return next?.writtenAt && next.writtenAt.getTime() - heardAt.getTime() < LONGEST_MS
    ? next.writtenAt.getTime() - heardAt.getTime()
    : undefined;
}

/** No transaction is open for longer. */
const LONGEST_MS = 15_000;
