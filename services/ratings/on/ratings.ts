import type { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import type { EventHandler } from '@tradewind/messaging/subscription';
import { openTallies, type Tallies } from '../tallies.ts';

/** Somebody rated something: it is counted, once, in the transaction of the inbox. Also when nobody here knows the subject, or not yet. */
export const countRating: EventHandler<typeof RatedSchema, Tallies> = {
  load: openTallies,
  apply: (event, tallies, _, context) => tallies.count(event, context),
};
