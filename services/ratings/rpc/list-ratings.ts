import { createHash } from 'node:crypto';
import type { FilterQuery } from '@mikro-orm/core';
import type { ListRatingsRequest, RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import { problem } from '@tradewind/rpc/failure';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { Rating } from '../rating.ts';
import { subjectId } from '../subject.ts';
import { ratingMessage } from './rating-message.ts';

const PAGE_SIZE = 100;

/** Gives ratings page by page, the newest first. */
export function listRatings({
  database,
}: Pick<ServiceDeps, 'database'>): Handler<typeof RatingsService.method.listRatings> {
  return async (request) => {
    const { pageSize, pageToken, skip, includeTotalSize } = request;
    const limit = pageSize || PAGE_SIZE;
    const filter = filterOf(request);
    const where: FilterQuery<Rating> = {
      ...filter,
      ...(pageToken !== '' && { id: { $lt: idOf(pageToken, filter) } }),
    };
    const em = database.read();
    // One more than asked for, to know whether there is a page after this one.
    const found = await em.find(Rating, where, { orderBy: { id: 'desc' }, limit: limit + 1, offset: skip });
    const page = found.slice(0, limit);
    const last = page.at(-1);
    return {
      ratings: page.map(ratingMessage),
      nextPageToken: last && found.length > limit ? tokenOf(last.id, filter) : '',
      ...(includeTotalSize && { totalSize: BigInt(await em.count(Rating, filter)) }),
    };
  };
}

type Filter = { readonly subject?: string; readonly customerId?: string };

function filterOf({ subject, customerId }: ListRatingsRequest): Filter {
  return {
    ...(subject && { subject: subjectId(subject.about) }),
    ...(customerId !== '' && { customerId: customerId.toLowerCase() }),
  };
}

/** A page ends with a rating, whose id is where the next one goes on, with the same filter only. */
function tokenOf(id: string, filter: Filter): string {
  return Buffer.from(id.replaceAll('-', '') + check(filter), 'hex').toString('base64url');
}

function idOf(token: string, filter: Filter): string {
  const bytes = Buffer.from(token, 'base64url');
  const hex = bytes.toString('hex');
  if (bytes.length !== 20 || bytes.toString('base64url') !== token)
    throw problem('page_token', 'is not one that was given');
  if (hex.slice(32) !== check(filter)) throw problem('page_token', 'was given for another filter');
  return hex.slice(0, 32).replace(/(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

function check({ subject = '', customerId = '' }: Filter): string {
  return createHash('sha256').update(`${subject}\n${customerId}`).digest('hex').slice(0, 8);
}
