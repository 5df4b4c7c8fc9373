import { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import { callOf, renameFields } from '@tradewind/rpc/rest';
import type { Invoke } from '@tradewind/rpc/serve';
import type { FastifyInstance } from 'fastify';
import { averageJson, averageSchema, personJson, personSchema, present } from './json.ts';
import { byId, conflict, idempotent, invalid, unknown } from './route-schema.ts';

const methods = RatingsService.method;
const newPerson = {
  type: 'object',
  required: ['name', 'email'],
  properties: { name: { type: 'string' }, email: { type: 'string' } },
  examples: [{ name: 'Alice', email: 'alice@example.com' }],
} as const;
const created = {
  ...personSchema,
  description: 'As it was made known.',
  headers: { location: { type: 'string' } },
};
const creating = (summary: string) => ({
  summary,
  headers: idempotent,
  body: newPerson,
  response: { 201: created, 400: invalid, 409: conflict },
});
const showing = (summary: string) => ({
  summary,
  params: byId('A UUID.'),
  response: { 200: personSchema, 400: invalid, 404: unknown },
});

interface NewPerson {
  readonly name: string;
  readonly email: string;
}
type ById = { Params: { id: string } };

/** Those who rate, and those whose services are rated. */
export function peopleRoutes(app: FastifyInstance, invoke: Invoke): void {
  app.post<{ Body: NewPerson }>(
    '/v1/customers',
    { schema: creating('Makes a customer known') },
    async (request, reply) => {
      const { customer } = await invoke(methods.createCustomer, request.body, callOf(request, reply));
      const person = personJson(present(customer));
      void reply.code(201).header('location', `/v1/customers/${person.id}`);
      return person;
    },
  );
  app.get<ById>('/v1/customers/:id', { schema: showing('Gives one customer') }, async (request, reply) => {
    const { customer } = await invoke(methods.getCustomer, request.params, callOf(request, reply));
    return personJson(present(customer));
  });
  app.post<{ Body: NewPerson }>(
    '/v1/service-providers',
    { schema: creating('Makes a service provider known') },
    async (request, reply) => {
      const { serviceProvider } = await invoke(
        methods.createServiceProvider,
        request.body,
        callOf(request, reply),
      );
      const person = personJson(present(serviceProvider));
      void reply.code(201).header('location', `/v1/service-providers/${person.id}`);
      return person;
    },
  );
  app.get<ById>(
    '/v1/service-providers/:id',
    { schema: showing('Gives one service provider') },
    async (request, reply) => {
      const { serviceProvider } = await invoke(
        methods.getServiceProvider,
        request.params,
        callOf(request, reply),
      );
      return personJson(present(serviceProvider));
    },
  );
  showAverage(app, invoke);
}

function showAverage(app: FastifyInstance, invoke: Invoke): void {
  const schema = {
    summary: 'Tells how a service provider was rated',
    params: byId("The service provider's id, a UUID."),
    response: { 200: averageSchema, 400: invalid, 404: unknown },
  };
  app.get<ById>('/v1/service-providers/:id/average-rating', { schema }, async (request, reply) => {
    const subject = { about: { case: 'serviceProviderId' as const, value: request.params.id } };
    const { summary } = await invoke(methods.getSummary, { subject }, callOf(request, reply)).catch(
      (error: unknown) => {
        throw renameFields(error, { 'subject.service_provider_id': 'id' });
      },
    );
    return averageJson(present(summary));
  });
}
