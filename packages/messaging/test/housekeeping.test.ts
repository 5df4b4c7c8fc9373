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
  await add('discarded', 99, 5);
  await add('discarded', 101, 5);
  // However long an event is held, it is not forgotten.
  await add('held', 400, 5);
  const { signal } = new AbortController();
  const chores = inboxChores(14 * 24 * 3_600_000);
  const removed = await cleanOnce({ database, chores, logger, signal, step: 100 });
  expect(removed).toEqual({ 'inbox: done': 250, 'inbox: dead': 35 });
  const { rows } = await database.pool.query(
    'SELECT state, count(*)::int FROM inbox GROUP BY state ORDER BY state',
  );
  expect(rows).toEqual([
    { state: 'dead', count: 20 },
    { state: 'discarded', count: 5 },
    { state: 'done', count: 10 },
    { state: 'held', count: 5 },
  ]);
  expect(await cleanOnce({ database, chores, logger, signal })).toEqual({});
});

test('marks of listeners that are long gone are forgotten, those of the living are not', async () => {
  await using ledger = await openLedger();
  const { database } = ledger;
  const { pool } = database;
  await pool.query(
    `INSERT INTO listener_session (session, consumer_group, server_started) VALUES ($1, $2, now())`,
    ['00000000-0000-4000-8000-000000000001', GROUP],
  );
  await pool.query(
    `INSERT INTO listener_partition (consumer_group, topic, partition, session, marked_at)
     SELECT $1, 'order.created', n, ('00000000-0000-4000-8000-00000000000' || n)::uuid, now() - interval '40 days'
     FROM generate_series(1, 3) n`,
    [GROUP],
  );
  await pool.query(
    `INSERT INTO lone_death (consumer_group, topic, partition, "offset", last_death)
     SELECT $1, 'order.created', 0, n, now() - make_interval(days => n) FROM generate_series(20, 39) n`,
    [GROUP],
  );
  const { signal } = new AbortController();
  const chores = inboxChores(14 * 24 * 3_600_000);
  expect(await cleanOnce({ database, chores, logger, signal })).toEqual({
    'lone deaths': 10,
    'listener marks': 2,
  });
  const { rows } = await pool.query('SELECT partition FROM listener_partition');
  expect(rows).toEqual([{ partition: 1 }]);
});
