import { Code, ConnectError } from '@connectrpc/connect';
import { failureKind } from '@tradewind/database/failure';
import { sessionUrl } from '@tradewind/database/session';
import type { Logger } from '@tradewind/telemetry/logger';
import { Pool, type PoolClient, type QueryArrayConfig, type QueryArrayResult } from 'pg';
import { prepareSchema } from './schema.ts';

/** A statement, prepared once a connection under its name. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

export interface DatabaseOptions {
  readonly url: string;
  readonly logger: Logger;
  readonly connections: number;
  /** Milliseconds after which a statement without an answer has failed and its connection is given up. */
  readonly timeoutMs: number;
}

// The log's statements have one right plan each, whatever the statistics say: a table that was empty when a statement was prepared
// must not be scanned when it has a million rows.
const PLANS = {
  plan_cache_mode: 'force_generic_plan',
  enable_bitmapscan: 'off',
  enable_mergejoin: 'off',
  max_parallel_workers_per_gather: '0',
};

/** The connection string with the log's own session settings added to those it may have. */
export function connectionString(url: string): string {
  return sessionUrl(url, PLANS);
}

/** How long whoever ends waits for the server to end as well. */
const END_MS = 2_000;

/** The log's connections. The tables are made with the first statement that reaches the server. */
export class Database implements AsyncDisposable {
  readonly #pool: Pool;
  readonly #timeoutMs: number;
  readonly #clients = new Set<PoolClient>();
  #prepared: Promise<void> | undefined;
  #ended: Promise<void> | undefined;

  constructor({ url, logger, connections, timeoutMs }: DatabaseOptions) {
    this.#timeoutMs = timeoutMs;
    this.#pool = new Pool({
      connectionString: connectionString(url),
      application_name: 'event-log',
      max: connections,
      connectionTimeoutMillis: Math.min(timeoutMs, 5_000),
      query_timeout: timeoutMs,
      statement_timeout: timeoutMs,
      keepAlive: true,
    });
    this.#pool.on('error', (error) => logger.debug({ err: error }, 'event log: an idle connection was lost'));
    this.#pool.on('connect', (client) => this.#clients.add(client));
    this.#pool.on('remove', (client) => this.#clients.delete(client));
  }

  /**
   * Runs a statement by itself.
   * @param timeoutMs less patience than the log's own
   * @throws ConnectError with `Unavailable` when the server is away or does not answer, `Aborted` when others were in the way
   */
  async query<Row extends unknown[]>(
    { name, text }: Statement,
    values: readonly unknown[],
    timeoutMs = this.#timeoutMs,
  ): Promise<Row[]> {
    try {
      await this.#ready();
      const statement: QueryArrayConfig & { query_timeout: number } = {
        name: `event_log_${name}`,
        text,
        values: [...values],
        rowMode: 'array',
        query_timeout: timeoutMs,
      };
      const { rows }: QueryArrayResult<Row> = await this.#pool.query<Row>(statement);
      return rows;
    } catch (error) {
      throw understood(error);
    }
  }

  /** Prepares the schema once; again after a failure. */
  #ready(): Promise<void> {
    this.#prepared ??= this.#prepare().catch((error: unknown) => {
      this.#prepared = undefined;
      throw error;
    });
    return this.#prepared;
  }

  async #prepare(): Promise<void> {
    const client = await this.#pool.connect();
    let failure: Error | undefined;
    try {
      await prepareSchema(client);
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error));
      throw error;
    } finally {
      client.release(failure);
    }
  }

  /** Ends all connections; a server that does not answer is not waited for. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end(): Promise<void> {
    const late = setTimeout(() => {
      for (const client of this.#clients) client.connection.stream.destroy();
    }, END_MS);
    await this.#pool.end();
    clearTimeout(late);
  }
}

/** Words that node-pg uses for a server that did not answer in time. */
const SILENCE = /query read timeout|timeout expired|due to connection timeout/i;

function understood(error: unknown): unknown {
  const kind = failureKind(error);
  const message = error instanceof Error ? error.message || error.name : String(error);
  const cancelled = error instanceof Error && 'code' in error && error.code === '57014';
  if (kind === 'away' || cancelled || SILENCE.test(message))
    return new ConnectError(
      `the event log's database can't be reached: ${message}`,
      Code.Unavailable,
      undefined,
      undefined,
      error,
    );
  if (kind === 'conflict')
    return new ConnectError(`others were in the way: ${message}`, Code.Aborted, undefined, undefined, error);
  return error;
}

/** Whether doing the same again may work. */
export function isPassing(error: unknown): boolean {
  return error instanceof ConnectError && (error.code === Code.Unavailable || error.code === Code.Aborted);
}
