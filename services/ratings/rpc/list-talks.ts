import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import { problem } from '@tradewind/rpc/failure';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { SubjectRow } from '../subjects.ts';

const PAGE_SIZE = 100;
const TALK = /^[a-z0-9-]{1,100}$/;

/** Gives the talks page by page, in the order of their ids. */
export function listTalks({
  database,
}: Pick<ServiceDeps, 'database'>): Handler<typeof RatingsService.method.listTalks> {
  return async ({ pageSize, pageToken }) => {
    const limit = pageSize || PAGE_SIZE;
    const found = await database
      .read()
      .find(
        SubjectRow,
        { kind: 'talk', ...(pageToken !== '' && { id: { $gt: talkOf(pageToken) } }) },
        { orderBy: { id: 'asc' }, limit: limit + 1 },
      );
    const page = found.slice(0, limit);
    const last = page.at(-1);
    return {
      talks: page.map(({ id, name, createdAt }) => ({
        id,
        title: name,
        createdAt: timestampFromDate(createdAt),
      })),
      nextPageToken: last && found.length > limit ? tokenOf(last.id) : '',
    };
  };
}

function tokenOf(id: string): string {
  return Buffer.from(id).toString('base64url');
}

function talkOf(token: string): string {
  const id = Buffer.from(token, 'base64url').toString('latin1');
  if (!TALK.test(id) || tokenOf(id) !== token) throw problem('page_token', 'is not one that was given');
  return id;
}
