import type { SchemaStep } from '@tradewind/database/database';

export const stock: SchemaStep = {
  name: '0001-stock',
  up: [
    // Rows change all the time and no index holds what changes: room on the page keeps an update within it.
    `CREATE TABLE stock (
      product_id int PRIMARY KEY CHECK (product_id > 0),
      quantity bigint NOT NULL DEFAULT 0 CHECK (quantity >= 0),
      put_in bigint NOT NULL DEFAULT 0,
      deleted boolean NOT NULL DEFAULT false,
      product_revision bigint,
      updated_at timestamptz NOT NULL DEFAULT now(),
      revision bigint NOT NULL
    ) WITH (fillfactor = 50)`,
    `COMMENT ON TABLE stock IS 'What is left of each product. A deleted product stays as a tombstone.'`,
    `COMMENT ON COLUMN stock.put_in IS 'Sum of the movements that no order caused.'`,
    `COMMENT ON COLUMN stock.product_revision IS 'Revision of the newest product event heard; null before the first.'`,
    `CREATE TABLE movement (
      cause_id uuid NOT NULL,
      cause text NOT NULL CHECK (cause IN ('order', 'cancellation', 'adjustment')),
      product_id int NOT NULL,
      delta bigint NOT NULL CHECK (delta <> 0),
      moved_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (cause_id, cause, product_id)
    )`,
    `COMMENT ON TABLE movement IS 'The ledger: every change of a quantity, once for each cause. cause_id: the order, or the adjustment.'`,
    `CREATE TABLE reservation (
      order_id uuid PRIMARY KEY,
      outcome text NOT NULL CHECK (outcome IN ('reserved', 'exceeded', 'released', 'canceled-before-created')),
      lines jsonb NOT NULL DEFAULT '[]',
      shortages jsonb NOT NULL DEFAULT '[]',
      updated_at timestamptz NOT NULL DEFAULT now(),
      revision bigint NOT NULL
    )`,
    `COMMENT ON TABLE reservation IS 'What came of each order here, kept as long as the order lives: the answer when it is asked again.'`,
  ],
  down: ['DROP TABLE reservation', 'DROP TABLE movement', 'DROP TABLE stock'],
};
