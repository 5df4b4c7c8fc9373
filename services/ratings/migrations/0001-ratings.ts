import type { SchemaStep } from '@tradewind/database/database';

export const ratings: SchemaStep = {
  name: '0001-ratings',
  up: [
    `CREATE TABLE subject (
      id text PRIMARY KEY,
      kind text NOT NULL CHECK (kind IN ('talk', 'product', 'service-provider')),
      name text NOT NULL,
      deleted boolean NOT NULL DEFAULT false,
      product_revision bigint,
      created_at timestamptz NOT NULL DEFAULT now()
    )`,
    `COMMENT ON TABLE subject IS 'What can be rated: talks, products as their events tell of them, service providers. None is ever removed.'`,
    `COMMENT ON COLUMN subject.id IS 'Key of its records: flight-of-the-gopher, product/1, service-provider/<uuid>.'`,
    `COMMENT ON COLUMN subject.product_revision IS 'Revision of the newest product event heard; null for the others.'`,
    `CREATE INDEX subject_talk ON subject (id) WHERE kind = 'talk'`,
    ...['customer', 'service_provider'].flatMap((table) => [
      `CREATE TABLE ${table} (
        id uuid PRIMARY KEY,
        name text NOT NULL,
        email text NOT NULL,
        email_key text NOT NULL UNIQUE,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
      )`,
      `COMMENT ON COLUMN ${table}.email_key IS 'The address in small letters: nobody else has it.'`,
    ]),
    // No foreign keys: their locks would make all who rate one thing wait for each other, and nothing that they point to is ever removed.
    `CREATE TABLE rating (
      id uuid PRIMARY KEY,
      subject text NOT NULL,
      customer_id uuid,
      value smallint NOT NULL CHECK (value BETWEEN 1 AND 5),
      comment text NOT NULL,
      created_at timestamptz NOT NULL,
      updated_at timestamptz NOT NULL,
      revision bigint NOT NULL
    )`,
    `COMMENT ON COLUMN rating.customer_id IS 'Null for the rating of a talk, which is nobody''s in particular.'`,
    'CREATE UNIQUE INDEX rating_once ON rating (customer_id, subject) WHERE customer_id IS NOT NULL',
    'CREATE INDEX rating_by_subject ON rating (subject, id)',
    'CREATE INDEX rating_by_customer ON rating (customer_id, id) WHERE customer_id IS NOT NULL',
    // Rows change all the time and no index holds what changes: room on the page keeps an update within it.
    `CREATE TABLE tally (
      subject text PRIMARY KEY,
      count_1 bigint NOT NULL,
      count_2 bigint NOT NULL,
      count_3 bigint NOT NULL,
      count_4 bigint NOT NULL,
      count_5 bigint NOT NULL,
      changed_at timestamptz NOT NULL,
      revision bigint NOT NULL
    ) WITH (fillfactor = 50)`,
    // That no count is negative is looked after where they are written: a row that is to be added to one would have to pass such a rule alone.
    `COMMENT ON TABLE tally IS 'The read model: ratings of each subject by value, counted from topic ratings. Made again by "rebuild".'`,
    `COMMENT ON COLUMN tally.changed_at IS 'When the newest rating counted was given or changed, to the millisecond.'`,
    `COMMENT ON COLUMN tally.revision IS 'Grows with each change of the row.'`,
    // Of a rebuild under way; empty otherwise. Deltas may arrive in any order, so a count may be negative for a while.
    `CREATE TABLE tally_rebuild (
      subject text PRIMARY KEY,
      count_1 bigint NOT NULL,
      count_2 bigint NOT NULL,
      count_3 bigint NOT NULL,
      count_4 bigint NOT NULL,
      count_5 bigint NOT NULL,
      changed_at timestamptz NOT NULL
    ) WITH (fillfactor = 50)`,
    `CREATE TABLE tally_rebuild_seen (
      source text NOT NULL,
      id text NOT NULL,
      PRIMARY KEY (source, id)
    )`,
    `COMMENT ON TABLE tally_rebuild_seen IS 'Events that a rebuild under way has counted, from the log or as they were handled.'`,
    `CREATE TABLE tally_redriven (
      source text NOT NULL,
      id text NOT NULL,
      subject text NOT NULL,
      count_1 int NOT NULL,
      count_2 int NOT NULL,
      count_3 int NOT NULL,
      count_4 int NOT NULL,
      count_5 int NOT NULL,
      changed_at timestamptz NOT NULL,
      PRIMARY KEY (source, id)
    )`,
    `COMMENT ON TABLE tally_redriven IS 'Ratings that were dead letters and came back, as they were counted: their records on the topic may say something else.'`,
  ],
  down: [
    'DROP TABLE tally_redriven',
    'DROP TABLE tally_rebuild_seen',
    'DROP TABLE tally_rebuild',
    'DROP TABLE tally',
    'DROP TABLE rating',
    'DROP TABLE service_provider',
    'DROP TABLE customer',
    'DROP TABLE subject',
  ],
};
