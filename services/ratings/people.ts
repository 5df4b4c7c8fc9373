import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import { defineEntity, p } from '@mikro-orm/core';
import type { EntityManager } from '@tradewind/database/database';
import { run, type Statement, statement } from '@tradewind/database/statement';
import { problem } from '@tradewind/rpc/failure';

const properties = () => ({
  id: p.uuid().primary(),
  name: p.text(),
  /** As it was given. */
  email: p.text(),
  /** In small letters, so that nobody else has it. */
  emailKey: p.text(),
  createdAt: p.datetime(),
  updatedAt: p.datetime(),
});

export const CustomerEntity = defineEntity({
  name: 'Customer',
  tableName: 'customer',
  properties: properties(),
});

/** Somebody who rates. */
export class Customer extends CustomerEntity.class {}
CustomerEntity.setClass(Customer);

export const ServiceProviderEntity = defineEntity({
  name: 'ServiceProvider',
  tableName: 'service_provider',
  properties: properties(),
});

/** Somebody whose services are rated. */
export class ServiceProvider extends ServiceProviderEntity.class {}
ServiceProviderEntity.setClass(ServiceProvider);

type Row = Pick<Customer, 'id' | 'name' | 'email' | 'emailKey' | 'createdAt' | 'updatedAt'>;

/** One of them, as they are made known. */
export function newPerson(id: string, { name, email }: { name: string; email: string }, now: Date): Row {
  return { id, name, email, emailKey: email.toLowerCase(), createdAt: now, updatedAt: now };
}

const insertInto = (table: string) =>
  statement<{ id: string }>(`
    INSERT INTO ${table} (id, name, email, email_key, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (email_key) DO NOTHING RETURNING id`);

const insertCustomerRow = insertInto('customer');
const insertProviderRow = insertInto('service_provider');

/** @throws ConnectError ALREADY_EXISTS naming `email` when another customer has it */
export async function insertCustomer(em: EntityManager, customer: Row): Promise<void> {
  await insert(em, insertCustomerRow, customer);
}

/** @throws ConnectError ALREADY_EXISTS naming `email` when another service provider has it */
export async function insertServiceProvider(em: EntityManager, provider: Row): Promise<void> {
  await insert(em, insertProviderRow, provider);
}

async function insert(em: EntityManager, into: Statement<{ id: string }>, row: Row): Promise<void> {
  const { id, name, email, emailKey, createdAt, updatedAt } = row;
  const rows = await run(em, into, [id, name, email, emailKey, createdAt, updatedAt]);
  if (rows.length === 0) throw problem('email', 'is taken', Code.AlreadyExists);
}

/** Either of them as the contract shows them. */
export function personMessage({ id, name, email, createdAt, updatedAt }: Omit<Row, 'emailKey'>) {
  return {
    id,
    name,
    email,
    createdAt: timestampFromDate(createdAt),
    updatedAt: timestampFromDate(updatedAt),
  };
}

/** NOT_FOUND for somebody whom nobody made known. */
export function unknownPerson(what: 'customer' | 'service provider', id: string): ConnectError {
  return new ConnectError(`there is no ${what} ${id}`, Code.NotFound);
}
