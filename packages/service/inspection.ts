import { timestampDate } from '@bufbuild/protobuf/wkt';
import { InspectionService } from '@tradewind/contracts/messaging/v1/inspection';
import type { Database } from '@tradewind/database/database';
import type { Subscription } from '@tradewind/messaging/subscription';
import { type Look, trailOf } from '@tradewind/messaging/trail';
import { type Handler, type Implementation, implement } from '@tradewind/rpc/implement';

export interface InspectionOptions {
  /** The service's name, which is its group's. */
  readonly name: string;
  readonly subscriptions: readonly Subscription[];
  readonly database: Pick<Database, 'pool'>;
}

/** What every service answers about events, without a line of its own. */
export function inspection(options: InspectionOptions): Implementation {
  return implement(InspectionService, { getTrail: getTrail(options) });
}

/** Looks are made by the service's own pool, and change nothing. */
export function lookInto({ pool }: Pick<Database, 'pool'>): Look {
  return async (text, values) => (await pool.query(text, values)).rows;
}

function getTrail({
  name,
  subscriptions,
  database,
}: InspectionOptions): Handler<typeof InspectionService.method.getTrail> {
  const hears = subscriptions.map(({ topic }) => topic);
  return async ({ key, events, factsSince }) => ({
    group: name,
    hears,
    ...(await trailOf(lookInto(database), name, {
      key,
      events,
      factsSince: factsSince && timestampDate(factsSince),
    })),
  });
}
