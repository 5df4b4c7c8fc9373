import { CreateServiceProviderResponseSchema } from '@tradewind/contracts/ratings/v1/people';
import { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import { idempotencyKey, once } from '@tradewind/messaging/idempotency';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { insertServiceProvider, newPerson, personMessage } from '../people.ts';
import { subjectId } from '../subject.ts';
import { insertSubject } from '../subjects.ts';

const method = RatingsService.method.createServiceProvider;

/** Makes a service provider known. */
export function createServiceProvider({
  database,
  clock,
  newId,
}: Pick<ServiceDeps, 'database' | 'clock' | 'newId'>): Handler<typeof method> {
  return async (request, call) => {
    const key = idempotencyKey(method, request, call);
    return await database.transaction((em) =>
      once(em, key, CreateServiceProviderResponseSchema, async () => {
        const serviceProvider = newPerson(newId(), request, clock());
        await insertServiceProvider(em, serviceProvider);
        const id = subjectId({ case: 'serviceProviderId', value: serviceProvider.id });
        await insertSubject(em, { id, kind: 'service-provider', name: request.name });
        return { serviceProvider: personMessage(serviceProvider) };
      }),
    );
  };
}
