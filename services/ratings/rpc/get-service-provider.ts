import type { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { personMessage, ServiceProvider, unknownPerson } from '../people.ts';

/** Gives one service provider. */
export function getServiceProvider({
  database,
}: Pick<ServiceDeps, 'database'>): Handler<typeof RatingsService.method.getServiceProvider> {
  return async ({ id }) => {
    const serviceProvider = await database.read().findOne(ServiceProvider, { id });
    if (!serviceProvider) throw unknownPerson('service provider', id);
    return { serviceProvider: personMessage(serviceProvider) };
  };
}
