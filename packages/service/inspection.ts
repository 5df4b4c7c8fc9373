import { timestampDate } from '@bufbuild/protobuf/wkt';
import { InspectionService } from '@tradewind/contracts/messaging/v1/inspection';
import type { Database } from '@tradewind/database/database';
import type { Subscription } from '@tradewind/messaging/subscription';
import { type Look, trailOf } from '@tradewind/messaging/trail';
import { fewAtATime } from '@tradewind/rpc/few';
import { type Handler, type Implementation, implement } from '@tradewind/rpc/implement';

export interface InspectionOptions {
  /** The service's name, which is its group's. */
  readonly name: string;
  readonly subscriptions: readonly Subscription[];
  readonly database: Pick<Database, 'pool'>;
  /** Of the process. */
  readonly signal: AbortSignal;
}

/** Trails that are looked for at a time, each on one connection of the service's pool. */
const AT_ONCE = 3;
/** Others wait for so long; who asks for the view of a saga has a second in all. */
const WAIT_MS = 300;

/** What every service answers about events, without a line of its own. */
export function inspection(options: InspectionOptions): Implementation {
  return implement(InspectionService, { getTrail: getTrail(options) });
}

/** Looks are made by the service's own pool, and change nothing. None is begun for a caller who left. */
export function lookInto({ pool }: Pick<Database, 'pool'>, signal: AbortSignal): Look {
  return async (text, values) => {
    signal.throwIfAborted();
    return (await pool.query(text, values)).rows;
  };
}

function getTrail({
  name,
  subscriptions,
  database,
  signal: stopping,
}: InspectionOptions): Handler<typeof InspectionService.method.getTrail> {
  const hears = subscriptions.map(({ topic }) => topic);
  const few = { most: AT_ONCE, waitMs: WAIT_MS, signal: stopping };
  return fewAtATime(few, async ({ key, events, factsSince }, _call, signal) => ({
    group: name,
    hears,
    ...(await trailOf(lookInto(database, signal), name, {
      key,
      events,
      factsSince: factsSince && timestampDate(factsSince),
    })),
  }));
}
