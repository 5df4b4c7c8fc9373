// The yardstick, in a process of its own: node-pg, BEGIN, two prepared INSERTs, COMMIT, on many connections. Argument: the database's URL.
import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { v7 } from 'uuid';
import { answerParent, monotonic } from './worker.ts';

export interface BaselineQuestion {
  readonly commits: number;
  readonly connections: number;
}

/** Milliseconds of the monotonic clock. */
export interface BaselineAnswer {
  readonly startedAt: number;
  readonly endedAt: number;
}

const insertOrder = {
  name: 'order',
  text: `INSERT INTO orders (id, customer_id, status, lines, total_price, currency, created_at, updated_at, revision)
    VALUES ($1, $2, 'PENDING', $3, $4, $5, $6, $6, 1)`,
};
const insertFact = {
  name: 'fact',
  text: `INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, source, content_type)
    VALUES ($1, 'order.created', $2, 'tradewind.order.v1.OrderCreated', $3, 'order', 'application/json')`,
};

async function commit(client: Client, n: number): Promise<void> {
  const id = v7();
  const customer = `c-${n % 2_000}`;
  const product = 1 + (n % 30);
  const lines = [{ productId: product, quantity: 1, unitPrice: 1000, totalPrice: 1000 }];
  const fact = {
    order_id: id,
    customer_id: customer,
    lines: [{ product_id: product, quantity: 1, unit_price: '1000', total_price: '1000' }],
    total_price: '1000',
    currency: 'USD',
    revision: '1',
  };
  await client.query('BEGIN');
  await client.query({
    ...insertOrder,
    values: [id, customer, JSON.stringify(lines), 1000, 'USD', new Date()],
  });
  await client.query({ ...insertFact, values: [randomUUID(), id, Buffer.from(JSON.stringify(fact))] });
  await client.query('COMMIT');
}

const clients: Client[] = [];

async function connected(connections: number): Promise<readonly Client[]> {
  while (clients.length < connections) {
    const client = new Client({ connectionString: process.argv[2], application_name: 'baseline' });
    await client.connect();
    clients.push(client);
  }
  return clients.slice(0, connections);
}

answerParent(async ({ commits, connections }: BaselineQuestion): Promise<BaselineAnswer> => {
  const all = await connected(connections);
  const startedAt = monotonic();
  let next = 0;
  await Promise.all(
    all.map(async (client) => {
      for (let n = next++; n < commits; n = next++) await commit(client, n);
    }),
  );
  return { startedAt, endedAt: monotonic() };
});
