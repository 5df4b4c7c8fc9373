import { CreateCustomerResponseSchema } from '@tradewind/contracts/ratings/v1/people';
import { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import { idempotencyKey, once } from '@tradewind/messaging/idempotency';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { insertCustomer, newPerson, personMessage } from '../people.ts';

const method = RatingsService.method.createCustomer;

/** Makes a customer known. */
export function createCustomer({
  database,
  clock,
  newId,
}: Pick<ServiceDeps, 'database' | 'clock' | 'newId'>): Handler<typeof method> {
  return async (request, call) => {
    const key = idempotencyKey(method, request, call);
    return await database.transaction((em) =>
      once(em, key, CreateCustomerResponseSchema, async () => {
        const customer = newPerson(newId(), request, clock());
        await insertCustomer(em, customer);
        return { customer: personMessage(customer) };
      }),
    );
  };
}
