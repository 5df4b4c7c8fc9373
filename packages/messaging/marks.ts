import { delay } from '@tradewind/process/backoff';
import type { Pool } from 'pg';
import type { ReceivedRecord, TopicPartition } from './log.ts';
import type { Session } from './session.ts';

export interface MarksOptions {
  readonly session: Session;
  readonly pool: Pool;
  readonly signal: AbortSignal;
  /** Whether a partition is still this member's. */
  readonly owned: (partition: TopicPartition) => boolean;
}

/** How often a record was alone in flight when a listener died. */
export interface LoneDeaths {
  readonly deaths: number;
  readonly first: Date;
  readonly last: Date;
}

/** A partition whose last owner died, or hangs, without having taken its mark back. */
export interface Unclean extends TopicPartition {
  readonly session: string;
  /** Records at most that its owner had in flight at once, over all partitions. */
  readonly most: number;
}

/** How long one that lives has to say that it has lost a partition. */
const HANDOVER_MS = 1_000;
const TEND_MS = 200;

const LOOK = `
  SELECT mark.topic, mark.partition, mark.session, mark.most
  FROM unnest($2::text[], $3::int[]) AS mine (topic, partition)
  JOIN listener_partition mark ON mark.consumer_group = $1 AND mark.topic = mine.topic AND mark.partition = mine.partition
  WHERE mark.session <> $4`;

const ENTER = `
  INSERT INTO listener_partition (consumer_group, topic, partition, session, most)
  SELECT $1, topic, partition, $4, $5 FROM unnest($2::text[], $3::int[]) AS mine (topic, partition) ORDER BY topic, partition
  ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET session = excluded.session, most = excluded.most, marked_at = excluded.marked_at`;

const GROW = 'UPDATE listener_partition SET most = $2 WHERE session = $1';

const LEAVE = `
  WITH flight AS (
    UPDATE listener_session SET in_flight_topic = NULL WHERE session = $4
      AND (in_flight_topic, in_flight_partition) IN (SELECT * FROM unnest($2::text[], $3::int[])))
  DELETE FROM listener_partition mark USING unnest($2::text[], $3::int[]) AS lost (topic, partition)
  WHERE mark.consumer_group = $1 AND mark.topic = lost.topic AND mark.partition = lost.partition AND mark.session = $4`;

// It lives and holds on to what it has lost: it hangs.
const ACCUSE = `
  WITH flight AS (
    UPDATE listener_session SET in_flight_topic = NULL
    WHERE session = $1 AND in_flight_topic = $2 AND in_flight_partition = $3
    RETURNING consumer_group, $2, in_flight_partition, in_flight_offset
  )
  INSERT INTO lone_death (consumer_group, topic, partition, "offset") SELECT * FROM flight
  ON CONFLICT (consumer_group, topic, partition, "offset")
    DO UPDATE SET deaths = lone_death.deaths + 1, last_death = clock_timestamp()`;

const BEGIN = `
  WITH flight AS (
    INSERT INTO listener_session (session, consumer_group, server_started, in_flight_topic, in_flight_partition, in_flight_offset)
    VALUES ($1, $2, pg_postmaster_start_time(), $3, $4, $5)
    ON CONFLICT (session) DO UPDATE
      SET in_flight_topic = $3, in_flight_partition = $4, in_flight_offset = $5, server_started = excluded.server_started
  )
  SELECT deaths, first_death AS first, last_death AS last FROM lone_death
  WHERE consumer_group = $2 AND topic = $3 AND partition = $4 AND "offset" = $5`;

const FORGET =
  'DELETE FROM lone_death WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND "offset" = $4';
const REST =
  'UPDATE listener_session SET in_flight_topic = NULL WHERE session = $1 AND in_flight_topic IS NOT NULL';

const nameOf = ({ topic, partition }: TopicPartition) => `${topic}/${partition}`;

/** Says in the database what a listener works on, so that whoever goes on after it knows whether it ended well. */
export class Marks implements AsyncDisposable {
  readonly #options: MarksOptions;
  /** Marked partitions, each with the session's life in which it was. */
  readonly #mine = new Map<string, TopicPartition & { readonly life: number }>();
  readonly #timer: NodeJS.Timeout;
  #leaving: Promise<void> = Promise.resolve();
  /** A power of two, so that it grows a few times in a life. */
  #most = 1;

  constructor(options: MarksOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#tend(), TEND_MS);
  }

  /**
   * Marks partitions before so many of their records are worked on at once; those that are marked already cost nothing.
   * @returns those whose last owner died, or hangs, without having taken its mark back
   */
  async enter(partitions: readonly TopicPartition[], records = 1): Promise<Unclean[]> {
    const { session, pool } = this.#options;
    if (records > this.#most) await this.#grow(records);
    const unmarked = () => partitions.filter((one) => this.#mine.get(nameOf(one))?.life !== session.lives);
    if (unmarked().length === 0) return [];
    await session.ready();
    await this.#leaving;
    const fresh = unmarked();
    const life = session.lives;
    const unclean = await this.#unclean(fresh);
    await pool.query(ENTER, [...this.#values(fresh), this.#most]);
    for (const { topic, partition } of fresh)
      this.#mine.set(nameOf({ topic, partition }), { topic, partition, life });
    return unclean;
  }

  /** Whoever goes on after a death doubts as many records as could have been in flight, not more. */
  async #grow(records: number): Promise<void> {
    const most = 2 ** Math.ceil(Math.log2(records));
    await this.#options.pool.query(GROW, [this.#options.session.id, most]);
    this.#most = most;
  }

  async #unclean(partitions: readonly TopicPartition[]): Promise<Unclean[]> {
    const { session, pool, signal } = this.#options;
    for (const deadline = performance.now() + HANDOVER_MS; ; await delay(50, signal)) {
      const { rows } = await pool.query<Unclean>(LOOK, this.#values(partitions));
      if (rows.length === 0) return [];
      const lives = await session.others();
      const waiting = rows.some((row) => {
        const life = lives.get(row.session);
        return life === 'in doubt' || (life === 'alive' && performance.now() < deadline);
      });
      if (waiting) continue;
      for (const dead of new Set(rows.map((row) => row.session)))
        if (lives.get(dead) === 'gone') await session.bury(dead);
      for (const { session, topic, partition } of rows)
        if (lives.get(session) === 'alive') await pool.query(ACCUSE, [session, topic, partition]);
      return rows;
    }
  }

  /** Takes back the marks of partitions that were lost: whoever gets them waits for that. */
  #tend(): void {
    const { owned, pool } = this.#options;
    const lost = [...this.#mine.values()].filter((one) => !owned(one));
    if (lost.length === 0) return;
    for (const one of lost) this.#mine.delete(nameOf(one));
    this.#leaving = this.#leaving
      .then(async () => {
        await pool.query(LEAVE, this.#values(lost));
      })
      .catch(() => {
        // The database is away. Marked again or not, the next look at them takes them back.
        for (const one of lost) this.#mine.set(nameOf(one), one);
      });
  }

  /** Says, in a commit of its own, that this record is alone in flight; answers how often that ended badly. */
  async begin({ topic, partition, offset }: ReceivedRecord): Promise<LoneDeaths | undefined> {
    const { session, pool } = this.#options;
    const values = [session.id, session.group, topic, partition, String(offset)];
    return (await pool.query<LoneDeaths>(BEGIN, values)).rows[0];
  }

  /** The record is dealt with. */
  async forget({ topic, partition, offset }: ReceivedRecord): Promise<void> {
    const { session, pool } = this.#options;
    await pool.query(FORGET, [session.group, topic, partition, String(offset)]);
  }

  /** Nothing is alone in flight any more. */
  async rest(): Promise<void> {
    await this.#options.pool.query(REST, [this.#options.session.id]);
  }

  #values(partitions: readonly TopicPartition[]): unknown[] {
    const { session } = this.#options;
    return [
      session.group,
      partitions.map(({ topic }) => topic),
      partitions.map(({ partition }) => partition),
      session.id,
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#leaving;
  }
}
