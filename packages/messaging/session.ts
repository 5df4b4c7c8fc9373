import { randomUUID } from 'node:crypto';
import { sessionUrl } from '@tradewind/database/session';
import { delay, fullJitter } from '@tradewind/process/backoff';
import type { Logger } from '@tradewind/telemetry/logger';
import { Client, type Pool } from 'pg';

export interface SessionOptions {
  readonly group: string;
  readonly pool: Pool;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** The server ends a connection that is silent for so long: a process whose event loop is blocked shows no more life than a dead one. */
const SILENCE = '15s';
const PING_MS = 3_000;
const PATIENCE_MS = 10_000;
/** How long ending in order may take; after that its successor is careful, and no worse. */
const LEAVE_MS = 2_000;
/** How long a session must be seen without life before it counts as dead; a lost connection is back sooner. */
const GONE_MS = 500;
/** The lock of a session, from its id. */
const LOCK = `hashtextextended('listener/' || $1::text, 0)`;

const REGISTER = `
  INSERT INTO listener_session (session, consumer_group, server_started) VALUES ($1, $2, pg_postmaster_start_time())
  ON CONFLICT (session) DO UPDATE SET server_started = excluded.server_started`;

const LEAVE = `
  WITH partitions AS (DELETE FROM listener_partition WHERE session = $1),
    lines AS (UPDATE held_line SET session = NULL WHERE session = $1)
  DELETE FROM listener_session WHERE session = $1`;

// Only as a statement of its own: then the look's own lock ends with it.
const LOOK = `
  SELECT session, NOT pg_try_advisory_xact_lock_shared(hashtextextended('listener/' || session::text, 0)) AS alive
  FROM listener_session WHERE consumer_group = $1 AND session <> $2`;

// What it worked on is left to others, with care. If the server was restarted since it last registered, nobody knows who died of what.
const BURY = `
  WITH gone AS (
    DELETE FROM listener_session WHERE session = $1
    RETURNING consumer_group, in_flight_topic, in_flight_partition, in_flight_offset, server_started
  ), lines AS (UPDATE held_line SET session = NULL, careful = true WHERE session = $1)
  INSERT INTO lone_death (consumer_group, topic, partition, "offset")
  SELECT consumer_group, in_flight_topic, in_flight_partition, in_flight_offset FROM gone
  WHERE in_flight_topic IS NOT NULL AND server_started = pg_postmaster_start_time()
  ON CONFLICT (consumer_group, topic, partition, "offset")
    DO UPDATE SET deaths = lone_death.deaths + 1, last_death = clock_timestamp()
  RETURNING topic, partition, "offset", deaths`;

/** The name of a listener's connection in pg_stat_activity. */
export function listenerConnection(group: string): string {
  return `${group} listener`;
}

/** A session as others see it. */
export type Life = 'alive' | 'gone' | 'in doubt' | 'buried';

/**
 * A listener's life, for others to see: a lock on a connection of its own, and a row. When the row is there without the lock, the listener
 * died without a word.
 */
export class Session implements AsyncDisposable {
  readonly id = randomUUID();
  readonly group: string;
  readonly #options: SessionOptions;
  readonly #stop = new AbortController();
  readonly #ready = Promise.withResolvers<void>();
  readonly #ended: Promise<void>;
  /** When each was first seen without life, in `performance.now()`. */
  readonly #lifeless = new Map<string, number>();
  /** Lives of this session's connection; marks made in an earlier one may have been taken for those of a dead. */
  lives = 0;

  constructor(options: SessionOptions) {
    this.group = options.group;
    this.#options = options;
    options.signal.addEventListener('abort', () => this.#ready.reject(options.signal.reason), { once: true });
    this.#ready.promise.catch(() => undefined);
    this.#ended = this.#keep();
  }

  /** Resolves once others can see it. Rejects when the signal aborts before. */
  ready(): Promise<void> {
    this.#options.signal.throwIfAborted();
    return this.#ready.promise;
  }

  async #keep(): Promise<void> {
    const { logger } = this.#options;
    for (let failures = 0; !this.#stop.signal.aborted; ) {
      try {
        await this.#live(() => {
          failures = 0;
        });
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        logger[failures === 0 ? 'warn' : 'debug'](
          { err: error },
          'the listener’s sign of life was lost; giving it again',
        );
        await delay(fullJitter(failures++, { baseMs: 20, capMs: 1_000 }), this.#stop.signal).catch(
          () => undefined,
        );
      }
    }
  }

  /** One connection's life. */
  async #live(onStart: () => void): Promise<void> {
    const client = new Client({
      connectionString: sessionUrl(this.#options.pool.options.connectionString ?? '', {
        idle_session_timeout: SILENCE,
        lock_timeout: '0',
      }),
      application_name: listenerConnection(this.group),
      connectionTimeoutMillis: 5_000,
      query_timeout: PATIENCE_MS,
      keepAlive: true,
    });
    const over = Promise.withResolvers<void>();
    over.promise.catch(() => undefined);
    client.on('error', over.reject);
    client.on('end', () => over.reject(new Error('the connection ended')));
    const stop = () => over.resolve();
    this.#stop.signal.addEventListener('abort', stop, { once: true });
    let ping: NodeJS.Timeout | undefined;
    try {
      await client.connect();
      // An earlier connection of ours that the server still believes in holds it; then we are seen alive all the same.
      await client.query(`SELECT pg_advisory_lock(${LOCK})`, [this.id]);
      await client.query(REGISTER, [this.id, this.group]);
      this.lives++;
      onStart();
      this.#ready.resolve();
      ping = setInterval(() => client.query('SELECT 1').catch(over.reject), PING_MS);
      await over.promise;
    } finally {
      clearInterval(ping);
      this.#stop.signal.removeEventListener('abort', stop);
      const late = setTimeout(() => client.connection.stream.destroy(), 1_000);
      await client.end().catch(() => undefined);
      clearTimeout(late);
    }
  }

  /** How the group's other sessions live; those that are not there have ended, in one way or the other. */
  async others(): Promise<Map<string, Life>> {
    const { pool } = this.#options;
    const { rows } = await pool.query<{ session: string; alive: boolean }>(LOOK, [this.group, this.id]);
    const now = performance.now();
    const seen = rows.map(({ session, alive }) => {
      if (alive) this.#lifeless.delete(session);
      else if (!this.#lifeless.has(session)) this.#lifeless.set(session, now);
      const since = now - (this.#lifeless.get(session) ?? now);
      return [session, alive ? 'alive' : since >= GONE_MS ? 'gone' : 'in doubt'] as const;
    });
    const others = new Map<string, Life>(seen);
    for (const session of this.#lifeless.keys()) if (!others.has(session)) this.#lifeless.delete(session);
    return others;
  }

  /** Ends a dead session's affairs; a record that was alone in flight has one more death to answer for. Only the first who does it counts. */
  async bury(session: string): Promise<void> {
    const { pool, logger } = this.#options;
    const { rows } = await pool.query(BURY, [session]);
    logger.warn(
      { session, ...(rows[0] && { inFlight: rows[0] }) },
      'a listener died without a word; going on with care',
    );
  }

  /** Buries whoever is dead. Resolves with whether somebody is in doubt. */
  async buryDead(): Promise<boolean> {
    let doubt = false;
    for (const [session, life] of await this.others()) {
      if (life === 'gone') await this.bury(session);
      doubt ||= life === 'in doubt';
    }
    return doubt;
  }

  /** Ends in order: what it worked on is free for others, without suspicion. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stop.signal.aborted) return await this.#ended;
    const { pool, logger } = this.#options;
    try {
      const late = delay(LEAVE_MS, this.#stop.signal).then(() => {
        throw new Error('the database did not answer');
      });
      late.catch(() => undefined);
      await Promise.race([pool.query(LEAVE, [this.id]), late]);
    } catch (error) {
      logger.warn({ err: error }, 'a listener could not end in order; its successor will go on with care');
    }
    this.#stop.abort();
    await this.#ended;
  }
}
