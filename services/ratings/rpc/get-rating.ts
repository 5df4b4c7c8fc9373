import { Code, ConnectError } from '@connectrpc/connect';
import type { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { Rating } from '../rating.ts';
import { ratingMessage } from './rating-message.ts';

/** Gives one rating. */
export function getRating({
  database,
}: Pick<ServiceDeps, 'database'>): Handler<typeof RatingsService.method.getRating> {
  return async ({ id }) => {
    const rating = await database.read().findOne(Rating, { id });
    if (!rating) throw unknownRating(id);
    return { rating: ratingMessage(rating) };
  };
}

/** NOT_FOUND for a rating that was never given. */
export function unknownRating(id: string): ConnectError {
  return new ConnectError(`there is no rating ${id}`, Code.NotFound);
}
