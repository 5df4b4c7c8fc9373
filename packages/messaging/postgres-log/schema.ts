import type { PoolClient } from 'pg';

/** Held while the tables are made, so that processes that start together do not make them twice. */
const SCHEMA_LOCK = 7_420_101;

const TABLES = `
  CREATE TABLE event_log.topic (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    partitions int NOT NULL CHECK (partitions > 0),
    -- Null: for ever.
    retention_ms bigint
  );

  -- One row an append: room for the next version on the same page, and vacuumed as soon as there is something to vacuum.
  CREATE TABLE event_log.partition (
    topic_id int NOT NULL REFERENCES event_log.topic,
    partition int NOT NULL,
    start_offset bigint NOT NULL DEFAULT 0,
    next_offset bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (topic_id, partition)
  ) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);

  CREATE TABLE event_log.record (
    topic_id int NOT NULL,
    partition int NOT NULL,
    "offset" bigint NOT NULL,
    key text,
    value bytea,
    headers json NOT NULL,
    appended_at timestamptz NOT NULL,
    PRIMARY KEY (topic_id, partition, "offset")
  );

  CREATE TABLE event_log.member (
    group_name text NOT NULL,
    member uuid NOT NULL,
    topics int[] NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (group_name, member)
  ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);

  -- Who reads a partition for a group, and how far the group is. Held for as long as the member lives.
  CREATE TABLE event_log.lease (
    group_name text NOT NULL,
    topic_id int NOT NULL,
    partition int NOT NULL,
    member uuid,
    generation bigint NOT NULL DEFAULT 0,
    -- Next offset to read; null: from the earliest record.
    committed bigint,
    PRIMARY KEY (group_name, topic_id, partition)
  ) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
`;

// Each call is one statement, so that no client holds the group's lock across a round trip, however long it stalls.
// PL/pgSQL, because a statement that waited for a lock must look again afterwards, and a plain one keeps its first look.
const FUNCTIONS = `
  CREATE FUNCTION event_log.lock_group(p_group text) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(7420102, hashtext(p_group))
  $$;

  -- Takes partitions away: those of the members in p_gone, and those that p_member gives back (all of them if p_all).
  CREATE FUNCTION event_log.free(p_group text, p_gone uuid[], p_member uuid, p_all boolean, p_topics int[], p_partitions int[])
  RETURNS boolean LANGUAGE plpgsql AS $$
  BEGIN
    WITH freed AS (
      SELECT l.topic_id, l.partition FROM event_log.lease l
      WHERE l.group_name = p_group AND (l.member = ANY(p_gone) OR l.member = p_member AND (p_all OR EXISTS (
        SELECT FROM unnest(p_topics, p_partitions) AS g(topic_id, partition)
        WHERE g.topic_id = l.topic_id AND g.partition = l.partition)))
      ORDER BY l.topic_id, l.partition FOR UPDATE
    )
    UPDATE event_log.lease l SET member = NULL FROM freed f
    WHERE l.group_name = p_group AND l.topic_id = f.topic_id AND l.partition = f.partition;
    RETURN FOUND;
  END $$;

  -- How many partitions of each topic p_member should have: everybody the same, what is left over goes round by topic, so that
  -- all members compute shares that add up.
  CREATE FUNCTION event_log.shares(p_group text, p_member uuid, p_topics int[])
  RETURNS TABLE (topic_id int, share int) LANGUAGE sql AS $$
    SELECT t.id, t.partitions / m.members + ((m.rank + t.id) % m.members < t.partitions % m.members)::int
    FROM event_log.topic t CROSS JOIN LATERAL (
      SELECT count(*)::int AS members, (count(*) FILTER (WHERE m.member < p_member))::int AS rank
      FROM event_log.member m WHERE m.group_name = p_group AND t.id = ANY(m.topics)
    ) m WHERE t.id = ANY(p_topics)
  $$;

  -- A member's sign of life: stays for p_session_ms more, removes the dead, gives back what it is told to, takes what is free up to
  -- its share. Answers what the member owns now, as [topic, partition, generation, first offset to read, share of the topic], and
  -- whether others have reason to look at once.
  CREATE FUNCTION event_log.beat(p_group text, p_member uuid, p_topics int[], p_session_ms int, p_join boolean,
    p_back_topics int[], p_back_partitions int[], OUT moved boolean, OUT leases json) LANGUAGE plpgsql AS $$
  DECLARE
    gone uuid[];
  BEGIN
    PERFORM event_log.lock_group(p_group);
    INSERT INTO event_log.member AS m (group_name, member, topics, expires_at)
    VALUES (p_group, p_member, p_topics, clock_timestamp() + p_session_ms * interval '1 ms')
    ON CONFLICT (group_name, member) DO UPDATE SET expires_at = excluded.expires_at;

    WITH dead AS (
      DELETE FROM event_log.member m WHERE m.group_name = p_group AND m.expires_at < clock_timestamp() RETURNING m.member
    )
    SELECT array_agg(d.member) INTO gone FROM dead d;
    moved := p_join;
    IF p_join OR gone IS NOT NULL OR cardinality(p_back_topics) > 0 THEN
      moved := event_log.free(p_group, gone, p_member, p_join, p_back_topics, p_back_partitions) OR p_join;
    END IF;
    IF p_join THEN
      INSERT INTO event_log.lease (group_name, topic_id, partition)
      SELECT p_group, p.topic_id, p.partition FROM event_log.partition p WHERE p.topic_id = ANY(p_topics)
      ORDER BY p.topic_id, p.partition ON CONFLICT DO NOTHING;
    END IF;

    WITH claim AS (
      SELECT l.topic_id, l.partition FROM (
        SELECT l.topic_id, l.partition, l.member, s.share,
          count(*) FILTER (WHERE l.member = p_member) OVER (PARTITION BY l.topic_id) AS own,
          row_number() OVER (PARTITION BY l.topic_id, l.member IS NULL ORDER BY l.partition) AS place
        FROM event_log.lease l JOIN event_log.shares(p_group, p_member, p_topics) s ON s.topic_id = l.topic_id
        WHERE l.group_name = p_group
      ) l WHERE l.member IS NULL AND l.place <= l.share - l.own
    )
    UPDATE event_log.lease l SET member = p_member, generation = l.generation + 1 FROM claim c
    WHERE l.group_name = p_group AND l.topic_id = c.topic_id AND l.partition = c.partition;

    SELECT coalesce(json_agg(json_build_array(l.topic_id, l.partition, l.generation::text,
      greatest(l.committed, p.start_offset)::text, s.share)), '[]') INTO leases
    FROM event_log.lease l
    JOIN event_log.partition p ON p.topic_id = l.topic_id AND p.partition = l.partition
    JOIN event_log.shares(p_group, p_member, p_topics) s ON s.topic_id = l.topic_id
    WHERE l.group_name = p_group AND l.member = p_member;
  END $$;

  CREATE FUNCTION event_log.leave(p_group text, p_member uuid) RETURNS void LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM event_log.lock_group(p_group);
    DELETE FROM event_log.member m WHERE m.group_name = p_group AND m.member = p_member;
    PERFORM event_log.free(p_group, NULL, p_member, true, NULL, NULL);
  END $$;

  -- Answers whether it was done: not while members live.
  CREATE FUNCTION event_log.rewind(p_group text, p_topics int[]) RETURNS boolean LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM event_log.lock_group(p_group);
    IF EXISTS (SELECT FROM event_log.member m WHERE m.group_name = p_group AND m.expires_at > clock_timestamp()) THEN
      RETURN false;
    END IF;
    -- The generation fences a member that is dead to the group and does not know it yet.
    UPDATE event_log.lease l SET member = NULL, committed = NULL, generation = l.generation + 1
    WHERE l.group_name = p_group AND l.topic_id = ANY(p_topics);
    RETURN true;
  END $$;
`;

/** Each step brings the schema one version further; a step that was released is never changed. */
const STEPS = [TABLES + FUNCTIONS];

/**
 * Makes the tables of the log in the database, or brings them up to date. A newer schema is left alone. After a failure the
 * connection must not be used any more: it may hold the lock.
 */
export async function prepareSchema(client: PoolClient): Promise<void> {
  if ((await schemaVersion(client)) >= STEPS.length) return;
  // Before the transaction begins, for a transaction that waited inside does not see the schema that another made meanwhile.
  await client.query('SELECT pg_advisory_lock($1)', [SCHEMA_LOCK]);
  await client.query('BEGIN');
  const version = await schemaVersion(client);
  if (version === 0) {
    await client.query('CREATE SCHEMA IF NOT EXISTS event_log');
    await client.query('CREATE TABLE event_log.log (id uuid NOT NULL, version int NOT NULL)');
    await client.query('INSERT INTO event_log.log VALUES (gen_random_uuid(), 0)');
  }
  for (const step of STEPS.slice(version)) await client.query(step);
  await client.query('UPDATE event_log.log SET version = greatest(version, $1)', [STEPS.length]);
  await client.query('COMMIT');
  await client.query('SELECT pg_advisory_unlock($1)', [SCHEMA_LOCK]);
}

/** 0 when there is none. */
async function schemaVersion(client: PoolClient): Promise<number> {
  const found = await client.query<{ there: boolean }>(
    `SELECT to_regclass('event_log.log') IS NOT NULL AS there`,
  );
  if (!found.rows[0]?.there) return 0;
  const { rows } = await client.query<{ version: number }>('SELECT version FROM event_log.log');
  return rows[0]?.version ?? 0;
}
