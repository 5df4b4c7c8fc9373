import { Code, ConnectError } from '@connectrpc/connect';
import { LockMode } from '@mikro-orm/core';
import { RatingsService, UpdateRatingResponseSchema } from '@tradewind/contracts/ratings/v1/ratings';
import type { EntityManager } from '@tradewind/database/database';
import { idempotencyKey, once } from '@tradewind/messaging/idempotency';
import { Facts } from '@tradewind/messaging/outbox';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { rated } from '../rated-fact.ts';
import { Rating } from '../rating.ts';
import { namesOfCustomers } from '../rating-rows.ts';
import { Ratings } from '../ratings.ts';
import { knownSubjects } from '../subjects.ts';
import { deletedProduct } from './create-rating.ts';
import { unknownRating } from './get-rating.ts';
import { ratingMessage } from './rating-message.ts';

const method = RatingsService.method.updateRating;

/** Changes a customer's rating, and tells what it was before. What changes nothing tells nothing. */
export function updateRating({
  database,
  wake,
  clock,
  metrics,
}: Pick<ServiceDeps, 'database' | 'wake' | 'clock' | 'metrics'>): Handler<typeof method> {
  const { changed } = metrics.of(Ratings);
  return async (request, call) => {
    const key = idempotencyKey(method, request, call);
    let news = false;
    const response = await database.transaction((em) =>
      once(em, key, UpdateRatingResponseSchema, async () => {
        const { id, value, comment, revision } = request;
        const rating = await em.findOne(Rating, { id }, { lockMode: LockMode.PESSIMISTIC_WRITE });
        if (!rating) throw unknownRating(id);
        await mayChange(em, rating, revision);
        const previousValue = rating.value;
        news = rating.change(value, comment, clock());
        if (news) await tell(em, rating, previousValue);
        return { rating: ratingMessage(rating) };
      }),
    );
    if (news) changed.add();
    wake();
    return response;
  };
}

async function mayChange(em: EntityManager, rating: Rating, revision: bigint): Promise<void> {
  const { id, subject, customerId } = rating;
  if (!customerId) throw new ConnectError(`rating ${id} is nobody's in particular`, Code.FailedPrecondition);
  if ((await knownSubjects(em, [subject])).get(subject)?.deleted) throw deletedProduct(subject);
  if (revision !== 0n && revision !== BigInt(rating.revision))
    throw new ConnectError(`rating ${id} has revision ${rating.revision}, not ${revision}`, Code.Aborted);
}

async function tell(em: EntityManager, rating: Rating, previousValue: number): Promise<void> {
  await em.flush();
  const customerId = rating.customerId ?? '';
  const names = await namesOfCustomers(em, [customerId]);
  const facts = new Facts('ratings');
  facts.add(
    rated({ rating: { ...rating, customerId }, customerName: names.get(customerId) ?? '', previousValue }),
  );
  await facts.save(em);
}
