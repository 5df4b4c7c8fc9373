import type { Sight } from './database.ts';
import { FAILS } from './poison.ts';

/** How a handler misbehaves: at every so many'th row that it writes it throws, or sleeps for longer than a statement may take. */
export interface Misbehaviour {
  readonly how: 'throw' | 'hang';
  readonly every: number;
  readonly forMs: number;
}

const TABLES = {
  stock: { table: 'reservation', id: 'order_id', event: 'INSERT' },
  order: { table: 'orders', id: 'id', event: 'UPDATE' },
  ratings: { table: 'tally', id: 'subject', event: 'INSERT' },
  product: { table: 'product', id: 'id', event: 'UPDATE' },
} as const;
export type Sabotaged = keyof typeof TABLES;
export const sabotaged = Object.keys(TABLES) as readonly Sabotaged[];

/** Triggers in a service's database, so that its handlers fail for real, inside of their transactions, with no change to the product. */
export async function plantSabotage(database: Sight, service: Sabotaged): Promise<void> {
  const { table, id, event } = TABLES[service];
  await database.query('CREATE SCHEMA IF NOT EXISTS faults');
  await database.query(
    `CREATE TABLE IF NOT EXISTS faults.rule (how text NOT NULL, every int NOT NULL, until timestamptz NOT NULL)`,
  );
  // A sequence does not roll back: it counts the calls, also those that failed.
  await database.query('CREATE SEQUENCE IF NOT EXISTS faults.calls');
  await database.query(`
    CREATE OR REPLACE FUNCTION faults.strike() RETURNS trigger LANGUAGE plpgsql AS $strike$
    DECLARE rule faults.rule;
    BEGIN
      IF NEW.${id}::text LIKE '${FAILS}%' THEN RAISE EXCEPTION 'sabotage: this one always fails'; END IF;
      SELECT * INTO rule FROM faults.rule WHERE until > clock_timestamp() LIMIT 1;
      IF FOUND AND nextval('faults.calls') % rule.every = 0 THEN
        IF rule.how = 'throw' THEN RAISE EXCEPTION 'sabotage: every % th call fails', rule.every; END IF;
        PERFORM pg_sleep(60);
      END IF;
      RETURN NEW;
    END $strike$`);
  await database.query(`
    CREATE OR REPLACE TRIGGER faults BEFORE ${event} ON ${table} FOR EACH ROW EXECUTE FUNCTION faults.strike()`);
}

export async function misbehave(database: Sight, { how, every, forMs }: Misbehaviour): Promise<void> {
  await database.query('DELETE FROM faults.rule');
  await database.query(
    `INSERT INTO faults.rule (how, every, until) VALUES ($1, $2, clock_timestamp() + $3 * interval '1 ms')`,
    [how, every, forMs],
  );
}
