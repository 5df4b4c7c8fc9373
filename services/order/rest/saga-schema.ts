import { OrderStatus } from '@tradewind/contracts/order/v1/order';
import { SagaLetterState, SagaState, SagaStepState } from '@tradewind/contracts/order/v1/saga';

const text = (description: string) => ({ type: 'string', description }) as const;
const count = (description: string) => ({ type: 'integer', description }) as const;
const time = (description: string) =>
  ({ type: ['string', 'null'], format: 'date-time', description }) as const;
const ms = (description: string) =>
  ({ type: ['integer', 'null'], description: `Milliseconds. ${description}` }) as const;
const place = text('`topic/partition/offset`; empty when it is not on the log, or was not found.');
const traceId = text('32 hexadecimal digits; empty when it is not traced.');

/** The names of an enumeration but the first, which says nothing. */
function oneOf(names: Readonly<Record<string, string | number>>, description: string) {
  const known = Object.keys(names).filter((name) => Number.isNaN(Number(name)) && name !== 'UNSPECIFIED');
  return { type: 'string', enum: known, description } as const;
}

/** Every field is always there. */
function object<P extends Record<string, object>>(properties: P, description: string) {
  return { type: 'object', description, properties, required: Object.keys(properties) } as const;
}

const step = object(
  {
    topic: text("The event's topic."),
    told_by: text('The service that told it.'),
    heard_by: text('The service that has to hear it; empty when the saga waits for nobody.'),
    state: oneOf(SagaStepState, 'Where it is.'),
    event_id: text('Its id.'),
    place,
    written_at: time('When the fact was written into the outbox.'),
    appended_at: time('When the log took it.'),
    heard_at: time('When heard_by claimed it last.'),
    in_outbox_ms: ms('In the outbox, until now if it is still there.'),
    on_topic_ms: ms('On the topic, until it failed first or was claimed, or until now.'),
    in_retry_ms: ms('From the first failure, as a dead letter has it, until it was claimed last.'),
    in_handling_ms: ms('From the claim until the fact that came of it.'),
    ahead: count('Records, or events of its order, that come first.'),
    attempts: count('Failed attempts, while it is in retry.'),
    next_attempt_at: time('When it is tried next.'),
    trace_id: traceId,
  },
  'One event, from the service that told it to the one that has to hear it.',
);

const letter = object(
  {
    place,
    topic: text('The topic of the event.'),
    event_id: text("The event's id."),
    group: text('Who gave up on it.'),
    state: oneOf(SagaLetterState, 'How it stands.'),
    reason: text('undecodable, rejected, failed or deadly; `npm run dlq -- show <place>` has the error.'),
    attempts: count('Failed attempts.'),
    first_failure: time('When it failed first.'),
    last_failure: time('When it failed last.'),
    appended_at: time('When the log took the letter.'),
    trace_id: traceId,
  },
  'The newest dead letter of an event.',
);

const awaits = object(
  {
    topic: text('The topic of the event that has to move.'),
    service: text("Whose turn it is; empty when it is a person's."),
    what: text('What has to happen.'),
    why: text('Why it has not happened yet.'),
    next: text('Who should act next, and how.'),
    since: time('Since when.'),
    late_by_ms: ms('How late it is; null while it is not.'),
  },
  'What has to happen next; null when the saga is settled.',
);

/** A saga as GET /api/v1/orders/{id}/saga shows it. */
export const sagaSchema = object(
  {
    order_id: text("The order's id."),
    order_status: oneOf(OrderStatus, "The order's status."),
    reason: text('Why it was canceled; empty while it stands.'),
    state: oneOf(SagaState, 'Where the saga stands.'),
    started_at: time('When the order was accepted.'),
    settled_at: time('When it left PENDING; null while it is PENDING.'),
    duration_ms: ms('From started_at to settled_at, or to now.'),
    observed_at: time('When this was looked at.'),
    trace_id: traceId,
    awaits: { ...awaits, type: ['object', 'null'] },
    steps: { type: 'array', items: step, description: 'In the order in which they were told.' },
    dead_letters: { type: 'array', items: letter, description: 'Also those that are dealt with.' },
    unknowns: {
      type: 'array',
      description: 'What could not be asked.',
      items: object({ about: text('Who or what.'), why: text('Why, and what is not known for that.') }, ''),
    },
  },
  'The way of one order.',
);
