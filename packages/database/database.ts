import { Migration, Migrator } from '@mikro-orm/migrations';
import { type EntityManager, type MigrationObject, MikroORM, type Options } from '@mikro-orm/postgresql';
import { within } from '@tradewind/telemetry/span';
import { PostgresDialect } from 'kysely';
import type { Pool } from 'pg';
import { committed } from './after-commit.ts';
import { withoutLosses } from './lost-connections.ts';
import { sessionUrl } from './session.ts';
import { PreparingClient } from './statement.ts';
import { TimedPool } from './timed-pool.ts';

export type { EntityManager } from '@mikro-orm/postgresql';

/** A numbered step of a schema, forwards and backwards. Each statement is one string; a step is one transaction. */
export interface SchemaStep {
  /** Sorts: `0001-orders`. Never changed once released. */
  readonly name: string;
  readonly up: readonly string[];
  readonly down: readonly string[];
}

/** What a service keeps: its entities and the steps that make their tables, oldest first. */
export interface Schema {
  readonly entities: NonNullable<Options['entities']>;
  readonly steps: readonly SchemaStep[];
}

export interface DatabaseOptions {
  readonly url: string;
  readonly schema: Schema;
  /** Shown in pg_stat_activity. */
  readonly name: string;
  /** Connections at most; 10 when left out. */
  readonly poolSize?: number;
  /** Milliseconds that one statement may take before the server gives up on it; 15,000 when left out, 0 for any time. */
  readonly statementTimeoutMs?: number;
  /** Milliseconds that one statement may wait for a lock, before it counts as a conflict; 2,000 when left out, 0 for any time. */
  readonly lockTimeoutMs?: number;
  /** A lost connection is reported here; the pool replaces it by itself. */
  readonly onConnectionError?: (error: Error) => void;
  /** Told of each taking of a connection from the pool: the seconds that it waited. */
  readonly onConnectionTaken?: (seconds: number) => void;
}

/** One service's database. Opening does not connect; the first use does. */
export interface Database extends AsyncDisposable {
  readonly orm: MikroORM;
  readonly pool: Pool;
  readonly schema: Schema;
  /** A unit of work for reading, outside of any transaction. */
  read(): EntityManager;
  /** One transaction with its own unit of work, which is flushed before the commit. */
  transaction<T>(work: (em: EntityManager) => Promise<T>): Promise<T>;
  /** Rejects when the database can't be used now. */
  probe(): Promise<void>;
}

/** Beyond the server's own patience: then it is the network that is silent. */
const SILENCE_MS = 5_000;

/** Opens a service's database. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const { statementTimeoutMs = 15_000, lockTimeoutMs = 2_000 } = options;
  const settings = {
    connectionString: sessionUrl(options.url, { lock_timeout: String(lockTimeoutMs) }),
    max: options.poolSize ?? 10,
    application_name: options.name,
    Client: PreparingClient,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    ...(statementTimeoutMs > 0 && {
      statement_timeout: statementTimeoutMs,
      query_timeout: statementTimeoutMs + SILENCE_MS,
    }),
    // A backend whose client vanished mid-transaction must not hold its locks for ever.
    idle_in_transaction_session_timeout: 30_000,
  };
  const pool: Pool = new TimedPool(settings, options.onConnectionTaken ?? (() => undefined));
  // A connection outlives the request that had it opened, and its loss is nobody's in particular.
  const report = (error: Error) => within(undefined, () => options.onConnectionError?.(error));
  pool.on('error', report);
  pool.on('connect', (client) => {
    client.on('error', report);
  });
  const orm = await MikroORM.init({
    entities: options.schema.entities,
    discovery: { warnWhenNoEntities: false },
    driverOptions: new PostgresDialect({ pool: withoutLosses(pool) }),
    dbName: new URL(options.url).pathname.slice(1),
    extensions: [Migrator],
    migrations: {
      migrationsList: options.schema.steps.map(asMigration),
      tableName: 'schema_step',
      snapshot: false,
      silent: true,
      allOrNothing: false,
    },
    // The ORM's own log would print values; what matters is measured and traced elsewhere.
    debug: false,
  });
  return {
    orm,
    pool,
    schema: options.schema,
    read: () => orm.em.fork(),
    async transaction(work) {
      let inner: EntityManager | undefined;
      const result = await orm.em.fork().transactional((em) => {
        inner = em;
        return work(em);
      });
      committed(inner);
      return result;
    },
    async probe() {
      const { rows } = await pool.query<{ transaction_read_only: string }>('SHOW transaction_read_only');
      if (rows[0]?.transaction_read_only !== 'off') throw new Error('the database is read-only');
    },
    async [Symbol.asyncDispose]() {
      await orm.close(true);
      // The ORM leaves a pool alone that it did not open.
      if (!pool.ending) await pool.end();
    },
  };
}

function asMigration(step: SchemaStep): MigrationObject {
  return {
    name: step.name,
    class: class extends Migration {
      override up() {
        for (const sql of step.up) this.addSql(sql);
      }
      override down() {
        for (const sql of step.down) this.addSql(sql);
      }
    },
  };
}
