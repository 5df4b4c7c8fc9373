import type { SchemaStep } from '@tradewind/database/database';

export const orders: SchemaStep = {
  name: '0001-orders',
  up: [
    `CREATE TABLE orders (
      id uuid PRIMARY KEY,
      customer_id text NOT NULL,
      status text NOT NULL CHECK (status IN ('PENDING', 'CONFIRMED', 'CANCELED')),
      reason text NOT NULL DEFAULT '',
      lines jsonb NOT NULL,
      total_price bigint NOT NULL CHECK (total_price >= 0),
      currency text NOT NULL,
      created_at timestamptz NOT NULL,
      updated_at timestamptz NOT NULL,
      revision bigint NOT NULL
    )`,
    `COMMENT ON TABLE orders IS 'Orders of customers. Ids are UUIDs of version 7, so they sort by time. Money is in the minor unit of the currency.'`,
    'CREATE INDEX orders_customer ON orders (customer_id, id)',
    // Orders pass through PENDING in a moment, so this stays tiny; whoever looks for late ones finds them here.
    `CREATE INDEX orders_pending ON orders (created_at) WHERE status = 'PENDING'`,
    // Confirmed orders are most of all; canceled ones would be a needle in the haystack of the primary key.
    `CREATE INDEX orders_canceled ON orders (id) WHERE status = 'CANCELED'`,
  ],
  down: ['DROP TABLE orders'],
};
