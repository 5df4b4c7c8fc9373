import type { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { Customer, personMessage, unknownPerson } from '../people.ts';

/** Gives one customer. */
export function getCustomer({
  database,
}: Pick<ServiceDeps, 'database'>): Handler<typeof RatingsService.method.getCustomer> {
  return async ({ id }) => {
    const customer = await database.read().findOne(Customer, { id });
    if (!customer) throw unknownPerson('customer', id);
    return { customer: personMessage(customer) };
  };
}
