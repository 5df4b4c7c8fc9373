import { Refusal } from '@tradewind/process/refusal';
import type { Database } from './database.ts';

/** Where a database's schema stands. */
export interface SchemaStatus {
  /** Steps that were applied, oldest first. */
  readonly applied: readonly { readonly name: string; readonly at: Date }[];
  /** Steps of this release that are missing. */
  readonly pending: readonly string[];
}

/** Any number does; all releases must agree on it. Advisory locks are per database. */
const MIGRATION_LOCK = 7_420_001;

/** Applies every missing step, one transaction each. Processes that migrate at the same time wait for each other. */
export async function migrateUp(database: Database): Promise<string[]> {
  return await locked(database, async () => (await database.orm.migrator.up()).map(({ name }) => name));
}

/**
 * Takes the newest applied step back. Resolves with its name, or none when there is nothing to take back.
 * @throws Refusal when the step is of another release, for this one does not know the way back
 */
export async function migrateDown(database: Database): Promise<string[]> {
  return await locked(database, async () => {
    mustKnow(database, (await appliedSteps(database)).slice(-1));
    return (await database.orm.migrator.down()).map(({ name }) => name);
  });
}

/**
 * Takes every applied step back, the newest first, and applies all of this release, one transaction each: all data is gone. Where one fails, the
 * steps before it stay as they have become, and the next reset goes on from there. Resolves with the names of both.
 * @throws Refusal, with nothing changed, when a step that was applied is of another release
 */
export async function migrateReset(database: Database): Promise<{ down: string[]; up: string[] }> {
  return await locked(database, async () => {
    mustKnow(database, await appliedSteps(database));
    const { migrator } = database.orm;
    const down = await migrator.down({ to: 0 });
    const up = await migrator.up();
    return { down: down.map(({ name }) => name), up: up.map(({ name }) => name) };
  });
}

/** What was applied and what is missing. Changes nothing. */
export async function migrationStatus(database: Database): Promise<SchemaStatus> {
  const applied = await appliedSteps(database);
  const names = new Set(applied.map(({ name }) => name));
  return {
    applied,
    pending: database.schema.steps.map(({ name }) => name).filter((name) => !names.has(name)),
  };
}

/** Rejects unless the schema is at least this release's; a newer one will do, since each step lets the release before run. */
export async function probeSchema(database: Database): Promise<void> {
  const { pending } = await migrationStatus(database);
  if (pending.length > 0) throw new Error(`schema steps are missing: ${pending.join(', ')} (run migrate)`);
}

function mustKnow({ schema }: Database, applied: readonly { name: string }[]): void {
  const known = new Set(schema.steps.map(({ name }) => name));
  const strange = applied.map(({ name }) => name).filter((name) => !known.has(name));
  if (strange.length > 0)
    throw new Refusal(
      `this release does not know the way back of ${strange.join(', ')}: use the one that applied it`,
    );
}

async function appliedSteps(database: Database): Promise<{ name: string; at: Date }[]> {
  const { rows } = await database.pool.query<{ there: boolean }>(
    `SELECT to_regclass('schema_step') IS NOT NULL AS there`,
  );
  if (!rows[0]?.there) return [];
  return (
    await database.pool.query<{ name: string; at: Date }>(
      'SELECT name, executed_at AS at FROM schema_step ORDER BY id',
    )
  ).rows;
}

async function locked<T>(database: Database, work: () => Promise<T>): Promise<T> {
  const client = await database.pool.connect();
  try {
    await client.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    return await work();
  } finally {
    // Ending the connection frees the lock even if it was the connection that failed.
    client.release(true);
  }
}
