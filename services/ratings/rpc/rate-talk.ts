import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { Code, type ConnectError } from '@connectrpc/connect';
import { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import { type RateTalkResponse, RateTalkResponseSchema } from '@tradewind/contracts/ratings/v1/talk';
import type { EntityManager } from '@tradewind/database/database';
import { groupCommit } from '@tradewind/database/group-commit';
import { idempotencyKey, type Proposed, remember } from '@tradewind/messaging/idempotency';
import { Facts } from '@tradewind/messaging/outbox';
import { problem } from '@tradewind/rpc/failure';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { currentTraceContext, type TraceContext } from '@tradewind/telemetry/trace-context';
import { LRUCache } from 'lru-cache';
import { rated } from '../rated-fact.ts';
import { newRating, type RatingRow } from '../rating.ts';
import { insertRatings } from '../rating-rows.ts';
import { Ratings } from '../ratings.ts';
import { knownSubjects } from '../subjects.ts';

const method = RatingsService.method.rateTalk;

/** Everything that an accepted rating writes, and what its caller gets. */
interface Acceptance extends Proposed<typeof RateTalkResponseSchema> {
  readonly rating: RatingRow;
  /** Of whoever asks. */
  readonly trace: TraceContext;
}

interface Accepted {
  readonly first: boolean;
  readonly answer: RateTalkResponse;
}

/** Accepts a rating of a talk: it and its fact are written in one transaction, which concurrent calls share. */
export function rateTalk(
  deps: Pick<ServiceDeps, 'database' | 'wake' | 'clock' | 'newId' | 'metrics'>,
): Handler<typeof method> {
  const { database, wake, clock, newId } = deps;
  const ratings = deps.metrics.of(Ratings);
  const talks = new KnownTalks();
  const commit = groupCommit<Acceptance, Accepted>(database, (em, batch) => accept(em, batch, talks), {
    onCommit: wake,
  });
  return async (request, call) => {
    const key = idempotencyKey(method, request, call);
    const given = { subject: request.talkId, customerId: null, value: request.value, comment: '' };
    // No id of a talk has a slash; those of other subjects do.
    if (request.talkId.includes('/')) throw unknownTalk(request.talkId);
    const rating = newRating(newId(), given, clock());
    const response = create(RateTalkResponseSchema, {
      ratingId: rating.id,
      createdAt: timestampFromDate(rating.createdAt),
    });
    const acceptance = { key, rating, response, trace: currentTraceContext() };
    const { first, answer } = await commit(acceptance, () => call.aborted !== undefined);
    if (first) ratings.accepted(rating.subject);
    return answer;
  };
}

/** Talks that are known to be there: none is ever removed, so that need not be asked twice. */
class KnownTalks {
  readonly #ids = new LRUCache<string, true>({ max: 100_000 });

  async among(em: EntityManager, ids: readonly string[]): Promise<ReadonlySet<string>> {
    const asked = ids.filter((id) => !this.#ids.has(id));
    if (asked.length > 0) for (const id of (await knownSubjects(em, asked)).keys()) this.#ids.set(id, true);
    return new Set(ids.filter((id) => this.#ids.has(id)));
  }
}

async function accept(
  em: EntityManager,
  batch: readonly Acceptance[],
  talks: KnownTalks,
): Promise<(Accepted | Error)[]> {
  const known = await talks.among(
    em,
    batch.map(({ rating }) => rating.subject),
  );
  const valid = batch.filter(({ rating }) => known.has(rating.subject));
  const remembered = new Map(
    (await remember(em, RateTalkResponseSchema, valid)).map((answer, n) => [valid[n], answer]),
  );
  const fresh = valid.filter((acceptance) => remembered.get(acceptance)?.first);
  await insertRatings(
    em,
    fresh.map(({ rating }) => rating),
  );
  const facts = new Facts('ratings');
  // Not before its talk is known: the contract refuses to tell of what can't be one.
  for (const { rating, trace } of fresh) facts.add(rated({ rating }, trace));
  await facts.save(em);
  return batch.map((acceptance) => {
    const known = remembered.get(acceptance);
    if (!known) return unknownTalk(acceptance.rating.subject);
    const { first, answer } = known;
    return answer instanceof Error ? answer : { first, answer };
  });
}

/** NOT_FOUND for a talk that nobody made known. */
export function unknownTalk(id: string): ConnectError {
  return problem('talk_id', `there is no talk ${JSON.stringify(id)}`, Code.NotFound);
}
