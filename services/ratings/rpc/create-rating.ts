import { create } from '@bufbuild/protobuf';
import { Code, type ConnectError } from '@connectrpc/connect';
import {
  type CreateRatingRequest,
  type CreateRatingResponse,
  CreateRatingResponseSchema,
  RatingsService,
} from '@tradewind/contracts/ratings/v1/ratings';
import type { EntityManager } from '@tradewind/database/database';
import { groupCommit } from '@tradewind/database/group-commit';
import { forget, idempotencyKey, type Proposed, remember } from '@tradewind/messaging/idempotency';
import { Facts } from '@tradewind/messaging/outbox';
import { problem } from '@tradewind/rpc/failure';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { currentTraceContext, type TraceContext } from '@tradewind/telemetry/trace-context';
import { rated } from '../rated-fact.ts';
import { newRating, type RatingRow } from '../rating.ts';
import { insertRatings, namesOfCustomers } from '../rating-rows.ts';
import { Ratings } from '../ratings.ts';
import { aboutOf, fieldOf, inWords, subjectId } from '../subject.ts';
import { type KnownSubject, knownSubjects } from '../subjects.ts';
import { ratingMessage } from './rating-message.ts';

const method = RatingsService.method.createRating;

/** A rating on its way to be accepted. */
interface Wish extends Proposed<typeof CreateRatingResponseSchema> {
  readonly rating: RatingRow & { readonly customerId: string };
  /** Of whoever asks. */
  readonly trace: TraceContext;
}

interface Accepted {
  readonly first: boolean;
  readonly answer: CreateRatingResponse;
}

/** Accepts a customer's rating of a product or a service provider: it and its fact in one transaction, which concurrent calls share. */
export function createRating(
  deps: Pick<ServiceDeps, 'database' | 'wake' | 'clock' | 'newId' | 'metrics'>,
): Handler<typeof method> {
  const { database, wake, clock, newId } = deps;
  const ratings = deps.metrics.of(Ratings);
  const commit = groupCommit<Wish, Accepted>(database, accept, { onCommit: wake });
  return async (request, call) => {
    const key = idempotencyKey(method, request, call);
    const rating = ratingOf(request, newId(), clock());
    const response = create(CreateRatingResponseSchema, { rating: ratingMessage(rating) });
    const wish = { key, rating, response, trace: currentTraceContext() };
    const { first, answer } = await commit(wish, () => call.aborted !== undefined);
    if (first) ratings.accepted(rating.subject);
    return answer;
  };
}

function ratingOf({ subject, customerId, value, comment }: CreateRatingRequest, id: string, now: Date) {
  const given = {
    subject: subjectId(subject?.about ?? { case: undefined }),
    customerId: customerId.toLowerCase(),
    value,
    comment,
  };
  return { ...newRating(id, given, now), customerId: given.customerId };
}

async function accept(em: EntityManager, batch: readonly Wish[]): Promise<(Accepted | Error)[]> {
  // First, so that a repeat gets its answer, whatever became of the subject since.
  const remembered = await remember(em, CreateRatingResponseSchema, batch);
  const fresh = batch.filter((_, n) => remembered[n]?.first);
  const failures = new Map<Wish['response'], ConnectError>();
  const names = await refuse(em, fresh, failures);
  const good = fresh.filter(({ response }) => !failures.has(response));
  const written = await insertRatings(
    em,
    good.map(({ rating }) => rating),
  );
  for (const { rating, response } of good)
    if (!written.has(rating.id)) failures.set(response, ratedAlready(rating));
  const failed = fresh.filter(({ response }) => failures.has(response));
  await forget(
    em,
    failed.map(({ key }) => key),
  );
  const facts = new Facts('ratings');
  for (const { rating, trace } of good) {
    if (!written.has(rating.id)) continue;
    facts.add(rated({ rating, customerName: names.get(rating.customerId) ?? '' }, trace));
  }
  await facts.save(em);
  return remembered.map(({ first, answer }) => {
    if (answer instanceof Error) return answer;
    // Also for a twin with the same key in this batch, which was given the answer of the one that failed.
    return failures.get(answer) ?? { first, answer };
  });
}

/** Finds those that can't be accepted; gives the customers' names. */
async function refuse(
  em: EntityManager,
  wishes: readonly Wish[],
  failures: Map<Wish['response'], ConnectError>,
): Promise<ReadonlyMap<string, string>> {
  if (wishes.length === 0) return new Map();
  const subjects = await knownSubjects(
    em,
    wishes.map(({ rating }) => rating.subject),
  );
  const names = await namesOfCustomers(
    em,
    wishes.map(({ rating }) => rating.customerId),
  );
  for (const { rating, response } of wishes) {
    const failure = whyNot(rating, subjects.get(rating.subject), names.has(rating.customerId));
    if (failure) failures.set(response, failure);
  }
  return names;
}

function whyNot(
  { subject, customerId }: Wish['rating'],
  known: KnownSubject | undefined,
  knowsCustomer: boolean,
): ConnectError | undefined {
  const about = aboutOf(subject);
  const refused = (field: string, why: string, code: Code) => problem(field, why, code);
  if (!known) return refused(fieldOf(about), `there is no ${inWords(about)}`, Code.NotFound);
  if (!knowsCustomer) return refused('customer_id', `there is no customer ${customerId}`, Code.NotFound);
  return known.deleted ? deletedProduct(subject) : undefined;
}

/** FAILED_PRECONDITION for a product that left the catalogue. */
export function deletedProduct(subject: string): ConnectError {
  const about = aboutOf(subject);
  return problem(fieldOf(about), `${inWords(about)} was deleted`, Code.FailedPrecondition);
}

function ratedAlready({ subject, customerId }: Wish['rating']): ConnectError {
  const why = `customer ${customerId} has rated ${inWords(aboutOf(subject))} already: change that rating`;
  return problem('customer_id', why, Code.AlreadyExists);
}
