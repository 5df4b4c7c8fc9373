import type { PostgresPool } from 'kysely';
import type { Pool } from 'pg';

/**
 * A pool from which a connection can't vanish. Kysely never gives one back whose begin or rollback failed, as both do once the connection
 * is lost; ten of those, and the pool waits for them for ever. So a lost connection gives itself back.
 */
export function withoutLosses(pool: Pool): PostgresPool {
  return Object.assign(Object.create(pool) as PostgresPool, {
    async connect() {
      const client = await pool.connect();
      const { release } = client;
      let out = true;
      const giveBack = (error?: Error | boolean) => {
        if (!out) return;
        out = false;
        client.off('end', lost);
        release(error);
      };
      const lost = () => giveBack(true);
      client.once('end', lost);
      client.release = giveBack;
      return client;
    },
    end: () => pool.end(),
  });
}
