import type { SchemaStep } from '@tradewind/database/database';

export const waiting: SchemaStep = {
  name: '0002-waiting',
  up: [
    // By this database's clock, which created_at is not: that is the clock of the process that took the order.
    `ALTER TABLE orders ADD accepted_at timestamptz NOT NULL DEFAULT now(), ADD waits_since timestamptz NOT NULL DEFAULT now()`,
    `COMMENT ON COLUMN orders.waits_since IS 'While PENDING: when the sweeper is to count from. It moves forward each time that the order is told again.'`,
    `CREATE INDEX orders_waiting ON orders (waits_since) WHERE status = 'PENDING'`,
    'DROP INDEX orders_pending',
  ],
  down: [
    `CREATE INDEX orders_pending ON orders (created_at) WHERE status = 'PENDING'`,
    'ALTER TABLE orders DROP waits_since, DROP accepted_at',
  ],
};
