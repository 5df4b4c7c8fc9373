import { append } from '@tradewind/testing/events';
import { plansOf, statementsOf } from '@tradewind/testing/plans';
import type { TestService } from '@tradewind/testing/service';
import { expect, test } from 'vitest';
import { clientsOf, startProduct } from './market.ts';
import { heard, rated } from './rating.ts';

/** Statements about the ratings of two products, each with its plans. */
async function plans(running: TestService): Promise<string[]> {
  const client = clientsOf(running.url).grpc;
  const made = [await client.createProduct({ name: 'a' }), await client.createProduct({ name: 'b' })];
  const [a = 0, b = 0] = made.map(({ product }) => product?.id);
  const sent = await statementsOf(async () => {
    await append(running.log, rated(a, 4), rated(b, 5), rated(a, 2, { previousValue: 4 }));
    await heard(running);
  });
  expect((await client.getProduct({ id: a })).product).toMatchObject({ rating: 2, ratingCount: 1n });
  const ours = sent.filter(({ text }) => /\bproduct\b/.test(text));
  expect(ours.map(({ text }) => /select|update/i.exec(text)?.[0])).toEqual(['SELECT', 'UPDATE']);
  return await Promise.all(
    ours.map(async (each) => `${each.text.trim()}\n→ ${await plansOf(running.database, each)}`),
  );
}

test('on a large table ratings are counted by the primary key', async () => {
  await using running = await startProduct();
  const { pool } = running.database;
  await pool.query(`
    INSERT INTO product (name, description, price, currency, category, brand, thumbnail, words, sort_key, created_at, updated_at, revision)
    SELECT 'bulk ' || n, '', n, 'USD', '', '', '', ARRAY['bulk'], 'bulk ' || n, now(), now(), 1 FROM generate_series(1, 100000) AS n`);
  await pool.query('ANALYZE product');
  for (const plan of await plans(running)) {
    expect.soft(plan).toMatch(/Index Scan (using|on) product_pkey/);
    expect.soft(plan).not.toContain('Seq Scan on product');
  }
});

test('so are they by a statement that was planned while the table was empty', async () => {
  await using running = await startProduct();
  for (const plan of await plans(running)) expect.soft(plan).not.toContain('Seq Scan on product');
});
