import type { SchemaStep } from '@tradewind/database/database';

export const projection: SchemaStep = {
  name: '0002-projection',
  up: [
    `CREATE TABLE projection (
      one boolean PRIMARY KEY DEFAULT true CHECK (one),
      epoch text NOT NULL,
      wanted_until timestamptz NOT NULL
    )`,
    `COMMENT ON TABLE projection IS 'How counts get to Redis. epoch: a Redis that was filled under another one counts as empty. Until wanted_until, changed subjects are noted in projection_due.'`,
    `INSERT INTO projection (epoch, wanted_until) VALUES (substr(replace(gen_random_uuid()::text, '-', ''), 1, 12), '-infinity')`,
    `CREATE TABLE projection_due (
      subject text PRIMARY KEY,
      revision bigint NOT NULL,
      since timestamptz NOT NULL DEFAULT now()
    ) WITH (
      fillfactor = 50,
      autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
      autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 1000000000
    )`,
    `COMMENT ON TABLE projection_due IS 'Subjects whose counts Redis does not have yet, and since when.'`,
    'CREATE INDEX projection_due_since ON projection_due (since)',
  ],
  down: ['DROP TABLE projection_due', 'DROP TABLE projection'],
};
