import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import { CreateTalkResponseSchema } from '@tradewind/contracts/ratings/v1/talk';
import { idempotencyKey, once } from '@tradewind/messaging/idempotency';
import { problem } from '@tradewind/rpc/failure';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { insertSubject } from '../subjects.ts';

const method = RatingsService.method.createTalk;

/** Makes a talk known. */
export function createTalk({ database }: Pick<ServiceDeps, 'database'>): Handler<typeof method> {
  return async (request, call) => {
    const key = idempotencyKey(method, request, call);
    return await database.transaction((em) =>
      once(em, key, CreateTalkResponseSchema, async () => {
        const { id, title } = request;
        const createdAt = await insertSubject(em, { id, kind: 'talk', name: title });
        if (!createdAt) throw problem('id', `there is a talk ${id} already`, Code.AlreadyExists);
        return { talk: { id, title, createdAt: timestampFromDate(createdAt) } };
      }),
    );
  };
}
