import { SagaLetterState, SagaStepState as State } from '@tradewind/contracts/order/v1/saga';
import type { Evidence } from './evidence.ts';
import { canceled, created, type Party, reserved } from './legs.ts';
import type { Letter } from './letters.ts';
import type { Awaited } from './standing.ts';
import type { Step } from './step.ts';

/** What has to happen next, for people. */
export interface Words {
  readonly topic: string;
  /** Whose turn it is; empty when it is a person's. */
  readonly service: Party | '';
  readonly what: string;
  readonly why: string;
  readonly next: string;
}

export function wordsFor(awaited: Awaited, evidence: Evidence): Words {
  return 'step' in awaited ? ofStep(awaited.step, awaited.letter, evidence) : ofMissing(awaited, evidence);
}

type Missing = Extract<Awaited, { missing: unknown }>;

function ofStep(step: Step, letter: Letter | undefined, evidence: Evidence): Words {
  const { leg, state, place, ahead, attempts, nextAttemptAt } = step;
  const { topic, toldBy } = leg;
  const group = leg.heardBy ?? toldBy;
  const handle = { topic, service: group, what: `${group} has to handle its ${topic}` };
  switch (state) {
    case State.IN_OUTBOX:
      return {
        topic,
        service: toldBy,
        what: `${toldBy} has to send its ${topic} to the event log`,
        why: because(`it is in ${toldBy}'s outbox`, logTrouble(evidence)),
        next: `${toldBy} sends it as soon as it runs and the event log takes it`,
      };
    case State.ON_TOPIC:
      return {
        topic,
        service: group,
        what: `${group} has to read its ${topic}`,
        why: because(`it is on the log at ${place}, and ${comeFirst(ahead)}`, troubleOf(group, evidence)),
        next: `${group} reads it as soon as its listen process runs`,
      };
    case State.RETRYING:
      return {
        ...handle,
        why: `it failed ${attempts} ${attempts === 1 ? 'time' : 'times'}`,
        next: `${group} tries again${nextAttemptAt ? ` at ${nextAttemptAt.toISOString()}` : ''}; what it fails of has to be mended, and npm run doctor tells it`,
      };
    case State.IN_LINE:
      return {
        ...handle,
        why: `it waits behind ${ahead} of its order, which failed ${attempts} times`,
        next: `${group} comes to it once the first is handled or a dead letter`,
      };
    case State.DEAD_LETTERED:
    case State.DISCARDED:
      return ofDead(step, letter, evidence);
    default:
      return {
        ...handle,
        why: because(
          state === State.READ
            ? `${group} has read it, and what came of it is not known`
            : 'it is not known where it is',
          troubleOf(group, evidence) ?? logTrouble(evidence),
        ),
        next: `you: see that ${group} and the event log can be reached, and ask again`,
      };
  }
}

function ofDead({ leg, state }: Step, letter: Letter | undefined, { order }: Evidence): Words {
  const { topic, heardBy: group = leg.toldBy } = leg;
  if (letter && letter.state === SagaLetterState.SENT_BACK)
    return {
      topic,
      service: group,
      what: `${group} has to read its ${topic} again`,
      why: `it was a dead letter and was sent back${letter.place ? ` from ${letter.place}` : ''}`,
      next: `${group} reads it as soon as its listen process runs`,
    };
  const what = `somebody has to decide about its ${topic}`;
  const gone = order.status === 'PENDING' ? `, or cancel it: POST /api/v1/orders/${order.id}/cancel` : '';
  if (state === State.DISCARDED)
    return {
      topic,
      service: '',
      what,
      why: `${group} gave up on it, and it was discarded for good`,
      next:
        order.status === 'PENDING'
          ? `order tells it again by itself${gone}`
          : 'you: put things right by hand',
    };
  const place = letter?.place;
  return {
    topic,
    service: '',
    what,
    why: letter?.reason ? `${group} gave up on it (${letter.reason})` : `${group} gave up on it`,
    next: place
      ? `you: npm run dlq -- show ${place}, mend the cause, npm run dlq -- redrive ${place}${gone}`
      : `you: npm run dlq -- list --topic ${topic} --group ${group}${gone}`,
  };
}

function ofMissing({ missing, handled, everywhere }: Missing, evidence: Evidence): Words {
  const { order } = evidence;
  const trouble =
    troubleOf('stock', evidence) ?? logTrouble(evidence) ?? 'not everything could be looked through';
  const why = everywhere
    ? 'it is neither in an outbox, nor on the log, nor held, nor a dead letter'
    : because('it was not found', trouble);
  const again = `order tells it again by itself after ORDER_SWEEP_AFTER, or cancel it: POST /api/v1/orders/${order.id}/cancel`;
  if (missing === created) {
    const what = `order has to tell its ${created.topic}`;
    return { topic: created.topic, service: 'order', what, why, next: again };
  }
  if (missing === canceled)
    return {
      topic: canceled.topic,
      service: 'stock',
      what: `stock has to hear its ${canceled.topic}`,
      why,
      next: 'you: see that stock and the event log can be reached, and ask again',
    };
  const at = handled?.heardAt ? ` at ${handled.heardAt.toISOString()}` : '';
  return {
    topic: reserved.topic,
    service: 'stock',
    what: `stock has to answer its ${created.topic}`,
    why: `stock has handled it${at}, and the answer: ${why}`,
    next: again,
  };
}

function comeFirst(ahead: number): string {
  if (ahead === 0) return 'nothing comes first';
  return ahead === 1 ? 'one record comes first' : `${ahead} records come first`;
}

function because(what: string, trouble: string | undefined): string {
  return trouble === undefined ? what : `${what}; ${trouble}`;
}

function troubleOf(party: Party, { trails }: Evidence): string | undefined {
  const trail = trails[party];
  return 'why' in trail ? `${party} can't be asked: ${trail.why}` : undefined;
}

function logTrouble({ log }: Evidence): string | undefined {
  return 'why' in log ? `the event log can't be asked: ${log.why}` : undefined;
}
