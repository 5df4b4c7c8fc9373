import type { SchemaStep } from '@tradewind/database/database';

/** The tables that every service keeps beside its own: put them first among its schema's steps. */
export const messagingSteps: readonly SchemaStep[] = [
  {
    name: '0000-messaging',
    up: [
      // The columns are those of Debezium's outbox event router, which may replace our relay.
      `CREATE TABLE outbox (
        position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id uuid NOT NULL,
        aggregatetype text NOT NULL,
        aggregateid text NOT NULL,
        type text NOT NULL,
        payload bytea,
        source text NOT NULL,
        content_type text NOT NULL,
        traceparent text,
        tracestate text,
        headers jsonb,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp()
      ) WITH (
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 1000000000
      )`,
      `COMMENT ON TABLE outbox IS 'Facts that are not on the log yet. The relay deletes what it has sent.'`,
      `CREATE TABLE inbox (
        consumer_group text NOT NULL,
        source text NOT NULL,
        id text NOT NULL,
        state text NOT NULL CHECK (state IN ('done', 'dead')),
        redrive text,
        handled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (consumer_group, source, id)
      )`,
      `COMMENT ON TABLE inbox IS 'Events that were handled, or given up on. redrive: the record that brought a dead one back last.'`,
      'CREATE INDEX inbox_handled_at ON inbox USING brin (handled_at) WITH (pages_per_range = 16, autosummarize = on)',
    ],
    down: ['DROP TABLE inbox', 'DROP TABLE outbox'],
  },
];
