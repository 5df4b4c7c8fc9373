import { cleanOnce, inboxChores } from '@tradewind/messaging/housekeeping';
import { expect, test } from 'vitest';
import { GROUP, logger, openLedger } from './ledger.ts';

test('the inbox forgets what is done after its window and keeps what is dead as long as its dead letter, in small steps', async () => {
  await using ledger = await openLedger();
  const { database } = ledger;
  const add = (state: string, days: number, count: number) =>
    database.pool.query(
      `INSERT INTO inbox (consumer_group, source, id, state, handled_at)
       SELECT $1, 'order', $2::text || $3::int || '-' || n, $2::text, clock_timestamp() - make_interval(days => $3::int) FROM generate_series(1, $4::int) n`,
      [GROUP, state, days, count],
    );
  await add('done', 13, 10);
  await add('done', 15, 250);
  await add('dead', 15, 10);
  await add('dead', 99, 10);
  await add('dead', 101, 30);
  const { signal } = new AbortController();
  const chores = inboxChores(14 * 24 * 3_600_000);
  const removed = await cleanOnce({ database, chores, logger, signal, step: 100 });
  expect(removed).toEqual({ 'inbox: done': 250, 'inbox: dead': 30 });
  const { rows } = await database.pool.query(
    'SELECT state, count(*)::int FROM inbox GROUP BY state ORDER BY state',
  );
  expect(rows).toEqual([
    { state: 'dead', count: 20 },
    { state: 'done', count: 10 },
  ]);
  expect(await cleanOnce({ database, chores, logger, signal })).toEqual({});
});
