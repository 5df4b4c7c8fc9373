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
  {
    name: '0000-messaging-held',
    up: [
      `ALTER TABLE inbox DROP CONSTRAINT inbox_state_check,
        ADD CONSTRAINT inbox_state_check CHECK (state IN ('done', 'dead', 'held', 'discarded'))`,
      `COMMENT ON TABLE inbox IS 'Events that were handled, are held for retry, or were given up on. redrive: the record that brought a dead one back last.'`,
      `CREATE TABLE held_line (
        consumer_group text NOT NULL,
        topic text NOT NULL,
        key text NOT NULL,
        attempts int NOT NULL,
        first_failure timestamptz NOT NULL DEFAULT clock_timestamp(),
        last_failure timestamptz NOT NULL DEFAULT clock_timestamp(),
        error text,
        verdict text CHECK (verdict IN ('rejected', 'failed', 'deadly')),
        next_attempt_at timestamptz NOT NULL,
        session uuid,
        careful boolean NOT NULL DEFAULT false,
        PRIMARY KEY (consumer_group, topic, key)
      )`,
      `COMMENT ON TABLE held_line IS 'Keys whose first event is in retry. session: the listener that works on it. careful: one died while it did.'`,
      'CREATE INDEX held_line_due ON held_line (consumer_group, next_attempt_at) WHERE session IS NULL',
      'CREATE INDEX held_line_session ON held_line (session) WHERE session IS NOT NULL',
      `CREATE TABLE held_event (
        position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        consumer_group text NOT NULL,
        topic text NOT NULL,
        key text NOT NULL,
        source text NOT NULL,
        id text NOT NULL,
        record_topic text NOT NULL,
        record_partition int NOT NULL,
        record_offset bigint NOT NULL,
        record_key bytea,
        value bytea,
        headers json NOT NULL,
        appended_at timestamptz NOT NULL,
        held_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        UNIQUE (consumer_group, source, id),
        FOREIGN KEY (consumer_group, topic, key) REFERENCES held_line
      )`,
      // json, not jsonb: a header may hold what jsonb refuses, such as NUL.
      `COMMENT ON TABLE held_event IS 'The events of the lines, in their order. topic and key: the line; record_…: where it lies on the log.'`,
      'CREATE INDEX held_event_line ON held_event (consumer_group, topic, key, position)',
      `CREATE TABLE listener_session (
        session uuid PRIMARY KEY,
        consumer_group text NOT NULL,
        server_started timestamptz NOT NULL,
        in_flight_topic text,
        in_flight_partition int,
        in_flight_offset bigint
      )`,
      `COMMENT ON TABLE listener_session IS 'Listeners that live, or died without a word. in_flight_…: the one record that it handles alone.'`,
      `CREATE TABLE listener_partition (
        consumer_group text NOT NULL,
        topic text NOT NULL,
        partition int NOT NULL,
        session uuid NOT NULL,
        most int NOT NULL DEFAULT 1000,
        marked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (consumer_group, topic, partition)
      )`,
      `COMMENT ON TABLE listener_partition IS 'Who works on a partition; removed when it ends well. most: records that it had in flight at once, over all partitions.'`,
      'CREATE INDEX listener_partition_session ON listener_partition (session)',
      `CREATE TABLE lone_death (
        consumer_group text NOT NULL,
        topic text NOT NULL,
        partition int NOT NULL,
        "offset" bigint NOT NULL,
        deaths int NOT NULL DEFAULT 1,
        first_death timestamptz NOT NULL DEFAULT clock_timestamp(),
        last_death timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (consumer_group, topic, partition, "offset")
      )`,
      `COMMENT ON TABLE lone_death IS 'Records that were alone in flight when their listener died.'`,
    ],
    down: [
      // Held events are nowhere else: their offsets have moved on.
      'LOCK TABLE held_line, held_event',
      `DO $$ BEGIN
        IF EXISTS (SELECT FROM held_event) THEN RAISE EXCEPTION 'events are held for retry; they would be lost'; END IF;
      END $$`,
      'DROP TABLE lone_death, listener_partition, listener_session, held_event, held_line',
      // Neither may run again: the release before knows no other state that says so.
      `UPDATE inbox SET state = 'done' WHERE state = 'discarded'`,
      `ALTER TABLE inbox DROP CONSTRAINT inbox_state_check,
        ADD CONSTRAINT inbox_state_check CHECK (state IN ('done', 'dead'))`,
    ],
  },
];
