import type { Database } from './database.ts';

/** How much a table holds. */
export interface Content {
  readonly table: string;
  readonly rows: number;
  /** Whether there are more: nobody waits for all of a large table to be counted. */
  readonly more: boolean;
}

/** Rows that are counted at most, of a table. */
const MOST = 100_000;

/** What a database holds: its tables that have rows, the fullest first. What the steps of its schema write down is not among them. */
export async function contentsOf({ pool }: Database): Promise<Content[]> {
  const { rows: tables } = await pool.query<{ name: string; quoted: string }>(
    `SELECT tablename AS name, format('%I.%I', schemaname, tablename) AS quoted FROM pg_tables
     WHERE schemaname = current_schema() AND tablename <> 'schema_step'`,
  );
  const contents: Content[] = [];
  for (const { name, quoted } of tables) {
    const { rows } = await pool.query<{ rows: number }>(
      `SELECT count(*)::int AS rows FROM (SELECT FROM ${quoted} LIMIT $1) AS counted`,
      [MOST + 1],
    );
    const counted = rows[0]?.rows ?? 0;
    if (counted > 0) contents.push({ table: name, rows: Math.min(counted, MOST), more: counted > MOST });
  }
  return contents.toSorted((a, b) => b.rows - a.rows || a.table.localeCompare(b.table));
}

/** How many connections to the database others have, by the name that they gave; of these names alone. */
export async function connectionsOf(
  { pool }: Database,
  names: readonly string[],
): Promise<{ readonly name: string; readonly connections: number }[]> {
  const { rows } = await pool.query<{ name: string; connections: number }>(
    `SELECT application_name AS name, count(*)::int AS connections FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = ANY ($1) GROUP BY 1 ORDER BY 1`,
    [names],
  );
  return rows;
}
