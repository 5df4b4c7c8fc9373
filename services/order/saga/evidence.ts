import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import {
  type GetTrailRequestSchema,
  type GetTrailResponse,
  GetTrailResponseSchema,
} from '@tradewind/contracts/messaging/v1/inspection';
import { contextOf } from '@tradewind/messaging/event';
import type { EventLog } from '@tradewind/messaging/log';
import { SparingLog } from '@tradewind/messaging/sparing-log';
import { type Look, trailOf } from '@tradewind/messaging/trail';
import { type Asked, ask } from '@tradewind/process/ask';
import { legs, type Party } from './legs.ts';
import { type LogEvidence, lookOnLog } from './log-evidence.ts';
import type { OrderFacts } from './order-facts.ts';

/** Everything that could be found out about an order's way. */
export interface Evidence {
  readonly order: OrderFacts;
  readonly trails: Readonly<Record<Party, Asked<GetTrailResponse>>>;
  readonly log: Asked<LogEvidence>;
  /** Things moved while they were looked for, so that what was not found need not be missing. */
  readonly moving?: boolean;
}

/** Whom to ask. */
export interface Sources {
  readonly look: Look;
  /** The event log; undefined until it was reached for the first time. */
  readonly log: EventLog | undefined;
  readonly stock: (question: Question) => Promise<Asked<GetTrailResponse>>;
  readonly sweepAfterMs: number;
  /** Aborts when nobody waits for it any more. */
  readonly signal: AbortSignal;
}

export type Question = MessageInitShape<typeof GetTrailRequestSchema>;

/** How long the log is waited for. */
const LOG_MS = 2_000;
/** Records that one look at the log reads at most, over all topics. */
const MOST_RECORDS = 12_000;
/** As many as GetTrail takes. */
const NAMED = 100;

/** Looks in the direction in which events move, outboxes, log, inboxes: what moves meanwhile is seen twice and not missed. */
export async function lookAround(order: OrderFacts, sources: Sources): Promise<Evidence> {
  const { look, stock, log: opened, sweepAfterMs } = sources;
  const question: Question = { key: order.id, factsSince: timestampFromDate(order.startedAt) };
  const own = async (events: Named[]) =>
    create(GetTrailResponseSchema, {
      group: 'order',
      ...(await trailOf(look, 'order', { key: order.id, events, factsSince: order.startedAt })),
    });
  const [ownBefore, stockBefore] = await Promise.all([own([]), stock(question)]);
  const log: Asked<LogEvidence> = opened
    ? await ask(
        LOG_MS,
        (signal) => lookOnLog(new SparingLog(opened, { signal, most: MOST_RECORDS }), order, sweepAfterMs),
        sources.signal,
      )
    : { why: 'it was not reached yet' };
  const names = named(log);
  const [ownAfter, stockAfter] = await Promise.all([
    own(names.order),
    'why' in stockBefore ? stockBefore : stock({ ...question, events: names.stock }),
  ]);
  return {
    order,
    log,
    trails: {
      order: both({ answer: ownBefore }, { answer: ownAfter }),
      stock: both(stockBefore, stockAfter),
    },
  };
}

/** The first look's facts, and the second look's events. */
function both(before: Asked<GetTrailResponse>, after: Asked<GetTrailResponse>): Asked<GetTrailResponse> {
  if ('why' in before || 'why' in after) return after;
  const { facts, factsIncomplete } = before.answer;
  const later = after.answer.facts.filter(({ id }) => facts.every((fact) => fact.id !== id));
  return { answer: { ...after.answer, facts: [...facts, ...later], factsIncomplete } };
}

interface Named {
  readonly source: string;
  readonly id: string;
}

/** The events whose state only the group that heard them can tell, by group. */
function named(log: Asked<LogEvidence>): Record<Party, Named[]> {
  const names: Record<Party, Named[]> = { order: [], stock: [] };
  if ('why' in log) return names;
  const { found, letters, logId } = log.answer;
  for (const { topic, heardBy } of legs) {
    if (!heardBy) continue;
    for (const record of found.get(topic)?.records ?? []) {
      const { source, id } = contextOf(record, logId);
      names[heardBy].push({ source, id });
    }
  }
  for (const { group, source, id } of letters)
    if (group === 'order' || group === 'stock') names[group].push({ source, id });
  const once = (list: Named[]) => [...new Map(list.map((one) => [`${one.source}\n${one.id}`, one])).values()];
  return { order: once(names.order).slice(-NAMED), stock: once(names.stock).slice(-NAMED) };
}
