import { plansOf, statementsOf } from '@tradewind/testing/plans';
import { v7 } from 'uuid';
import { expect, test } from 'vitest';
import { GROUP, openLedger, orderCreated } from './ledger.ts';

test('with many held events no statement of the listener or the drain reads all of them', async () => {
  await using ledger = await openLedger();
  const { pool } = ledger.database;
  await pool.query(
    `INSERT INTO held_line (consumer_group, topic, key, attempts, next_attempt_at)
     SELECT $1, 'order.created', 'key ' || n, 1, now() + interval '1 day' FROM generate_series(1, 20000) n`,
    [GROUP],
  );
  await pool.query(
    `INSERT INTO held_event (consumer_group, topic, key, source, id, record_topic, record_partition, record_offset, headers, appended_at)
     SELECT $1, 'order.created', 'key ' || n, 'test', n, 'order.created', 0, n, '{}', now() FROM generate_series(1, 20000) n`,
    [GROUP],
  );
  await pool.query('ANALYZE held_line, held_event');
  let broken = true;
  const sent = await statementsOf(async () => {
    await using _member = ledger.start(
      () => {
        if (broken) throw new Error('not yet');
      },
      { retry: { attempts: 1_000, baseMs: 1, capMs: 5 }, maxHeld: 100_000 },
    );
    const orderId = v7();
    await ledger.append(orderCreated('first', { orderId }));
    await ledger.append(orderCreated('second', { orderId }), orderCreated('other'));
    await expect
      .poll(async () => (await pool.query('SELECT FROM held_event WHERE key = $1', [orderId])).rowCount)
      .toBe(2);
    broken = false;
    await expect.poll(async () => (await ledger.entries()).length).toBe(3);
  });
  const ours = sent.filter(
    ({ text }) => /\bheld_(line|event)\b/.test(text) && !/count\(|SELECT FROM held_event/.test(text),
  );
  expect(ours.length).toBeGreaterThanOrEqual(9);
  for (const each of ours) {
    const plan = `${each.text.trim()}\n→ ${await plansOf(ledger.database, each)}`;
    expect.soft(plan).not.toMatch(/Seq Scan on held_/);
    // In order of their time, as the index gives them.
    expect.soft(plan).not.toMatch(/Sort Key: (held_line\.)?next_attempt_at/);
  }
});
