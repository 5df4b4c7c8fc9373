import { openDatabase } from '@tradewind/database/database';
import { migrateUp } from '@tradewind/database/migrate';
import { plansOf, statementsOf } from '@tradewind/testing/plans';
import { createDatabase } from '@tradewind/testing/postgres';
import { expect, test } from 'vitest';
import { settleDue, takeDue } from '../redis/due.ts';
import { standingOf, wantProjection } from '../redis/epoch.ts';
import { projectionGauges } from '../redis/projection-metrics.ts';
import { talliesAfter, talliesOf } from '../redis/tallies.ts';
import { rate, schema } from './read-model.ts';

test.each([200_000, 0])(
  'with %i subjects, all due, no statement of the projection reads all of a table',
  async (many) => {
    await using created = await createDatabase('ratings');
    await using database = await openDatabase({ url: created.url, schema, name: 'test', poolSize: 3 });
    await migrateUp(database);
    await wantProjection(database);
    const { pool } = database;
    await pool.query(
      `INSERT INTO tally SELECT 'product/' || n, n, 0, 0, 0, n, now(), 1 FROM generate_series(1, ${many}) AS n`,
    );
    await pool.query(
      `INSERT INTO projection_due SELECT 'product/' || n, 1 FROM generate_series(1, ${many}) AS n`,
    );
    if (many > 0) await pool.query('ANALYZE tally, projection_due');
    const sent = await statementsOf(async () => {
      await rate(database, ['product/7', 5], ['product/8', 4]);
      await settleDue(database, await takeDue(database, 500));
      await standingOf(database, 2_000);
      await talliesAfter(database, 'product/5', 500);
      await talliesOf(database, ['product/7', 'product/8']);
      await pool.query(projectionGauges.sql);
    });
    const ours = sent.filter(({ text }) => /\bprojection(_due)?\b/.test(text));
    expect(ours).toHaveLength(7);
    for (const each of ours) {
      const plan = `${each.text.trim()}\n→ ${await plansOf(database, each)}`;
      expect.soft(plan).not.toMatch(/Seq Scan on "?(tally|projection_due)/);
      // An index that is read from end to end is no better. The oldest ones, up to a limit, come in the order of another.
      expect.soft(plan.match(/using (tally|projection_due)_pkey on .*\n(?!\s+Index Cond)/)).toBe(null);
      expect.soft(plan).not.toMatch(/Join Filter/);
    }
  },
);
