import { Code, ConnectError } from '@connectrpc/connect';
import type { TopicDifference, TopicSpec } from '../log.ts';
import type { Database } from './database.ts';

/** A topic that is there; never changes. */
export interface Topic {
  readonly id: number;
  readonly name: string;
  readonly partitions: number;
}

const FIND = {
  name: 'topics',
  text: 'SELECT id, name, partitions FROM event_log.topic WHERE name = ANY($1::text[])',
};

// In the order of names, so that processes that create the same topics together wait for each other in one direction only.
const CREATE = {
  name: 'create_topics',
  text: `
    WITH created AS (
      INSERT INTO event_log.topic (name, partitions, retention_ms)
      SELECT name, partitions, retention_ms FROM unnest($1::text[], $2::int[], $3::bigint[]) AS t(name, partitions, retention_ms)
      ORDER BY name ON CONFLICT (name) DO NOTHING
      RETURNING id, partitions
    )
    INSERT INTO event_log.partition (topic_id, partition)
    SELECT id, partition FROM created CROSS JOIN LATERAL generate_series(0, partitions - 1) AS partition`,
};

// "At least" is what everybody is promised, so whoever asks for most gets it: a process of an older release that starts again must not
// shorten what a newer one wants for ever. To shorten it is a person's decision.
const LENGTHEN = {
  name: 'lengthen_topics',
  text: `
    WITH longer AS (
      SELECT t.id, w.retention_ms FROM event_log.topic t JOIN unnest($1::text[], $2::bigint[]) AS w(name, retention_ms) USING (name)
      WHERE t.retention_ms < coalesce(w.retention_ms, 9223372036854775807) ORDER BY name FOR UPDATE OF t
    )
    UPDATE event_log.topic t SET retention_ms = longer.retention_ms FROM longer WHERE t.id = longer.id`,
};

/** What Kafka takes as a topic's name, so that every topic can move there. */
const NAME = /^(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}$/;

/** The topics of the log. Kept in memory once seen, for a topic never changes. */
export class Topics {
  readonly #database: Database;
  readonly #defaultPartitions: number;
  readonly #known = new Map<string, Topic>();

  constructor(database: Database, defaultPartitions: number) {
    this.#database = database;
    this.#defaultPartitions = defaultPartitions;
  }

  /** The topic, if it was seen before. */
  known(name: string): Topic | undefined {
    return this.#known.get(name);
  }

  /**
   * Topics by name, in the order of `names`.
   * @throws ConnectError with `NotFound` when one is not there
   */
  async find(names: readonly string[]): Promise<Topic[]> {
    const unseen = [...new Set(names.filter((name) => !this.#known.has(name)))];
    if (unseen.length > 0) {
      for (const [id, name, partitions] of await this.#database.query<[number, string, number]>(FIND, [
        unseen,
      ]))
        this.#known.set(name, { id, name, partitions });
    }
    return names.map((name) => {
      const topic = this.#known.get(name);
      if (!topic) throw new ConnectError(`there is no topic ${name}`, Code.NotFound);
      return topic;
    });
  }

  async create(specs: readonly TopicSpec[]): Promise<TopicDifference[]> {
    for (const { name, partitions = 1 } of specs) {
      if (!NAME.test(name)) throw new ConnectError(`${name} can't be a topic's name`, Code.InvalidArgument);
      if (!Number.isInteger(partitions) || partitions < 1)
        throw new ConnectError(`topic ${name} can't have ${partitions} partitions`, Code.InvalidArgument);
    }
    await this.#database.query(CREATE, [
      specs.map(({ name }) => name),
      specs.map(({ partitions }) => partitions ?? this.#defaultPartitions),
      specs.map(({ retentionMs }) => retentionMs),
    ]);
    await this.#database.query(LENGTHEN, [
      specs.map(({ name }) => name),
      specs.map(({ retentionMs }) => retentionMs),
    ]);
    const found = await this.find(specs.map(({ name }) => name));
    return specs.flatMap(({ name, partitions }, i) => {
      const topic = found[i];
      if (!topic || partitions === undefined || topic.partitions === partitions) return [];
      return [{ topic: name, wanted: partitions, found: topic.partitions }];
    });
  }
}

/** A partition's name within this log, as wake-ups carry it. */
export function partitionKey(topicId: number, partition: number): string {
  return `${topicId}.${partition}`;
}
