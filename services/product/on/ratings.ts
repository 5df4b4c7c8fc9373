import { Code, ConnectError } from '@connectrpc/connect';
import type { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import type { EventHandler } from '@tradewind/messaging/subscription';
import { lockRatings, type Ratings } from '../ratings.ts';

/**
 * Somebody rated something. Ratings are added up, so what makes each count once is the inbox alone.
 * @throws ConnectError FAILED_PRECONDITION for a product that never was, and for a changed rating that can't have been what it says
 */
export const countRating: EventHandler<typeof RatedSchema, Ratings> = {
  load: lockRatings,
  apply({ about, value, previousValue }, ratings) {
    // Talks and service providers are others' business.
    if (about.case !== 'productId') return;
    const product = ratings.get(about.value);
    if (!product) throw new ConnectError(`there never was a product ${about.value}`, Code.FailedPrecondition);
    if (ratings.count(product, value, previousValue)) return;
    const { ratingCount: count, ratingSum: sum } = product;
    throw new ConnectError(
      `the number of product ${about.value}'s ratings is ${count}, their sum ${sum}: none can have changed from ${previousValue} to ${value}`,
      Code.FailedPrecondition,
    );
  },
};
