import { openDatabase, type Schema } from '@tradewind/database/database';
import { migrateDown, migrateUp, probeSchema } from '@tradewind/database/migrate';
import { messagingSteps } from '@tradewind/messaging/tables';
import { createDatabase } from '@tradewind/testing/postgres';
import { expect, test } from 'vitest';
import { GROUP } from './ledger.ts';

const later = { name: '0001-later', up: ['CREATE TABLE later (id int)'], down: ['DROP TABLE later'] };
const before: Schema = { entities: [], steps: [...messagingSteps.slice(0, 1), later] };
const today: Schema = { entities: [], steps: [...messagingSteps, later] };

test('a database of the release before goes forwards with what its inbox knows, and back unless events are held', async () => {
  await using server = await createDatabase('schema');
  {
    await using database = await openDatabase({ url: server.url, schema: before, name: 'test' });
    expect(await migrateUp(database)).toEqual(['0000-messaging', '0001-later']);
    await database.pool.query(
      `INSERT INTO inbox VALUES ($1, 'order', 'a', 'done'), ($1, 'order', 'b', 'dead')`,
      [GROUP],
    );
  }
  await using database = await openDatabase({ url: server.url, schema: today, name: 'test' });
  await expect(probeSchema(database)).rejects.toThrow('schema steps are missing: 0000-messaging-held');
  expect(await migrateUp(database)).toEqual(['0000-messaging-held']);
  const { pool } = database;
  await pool.query(`INSERT INTO inbox VALUES ($1, 'order', 'c', 'discarded'), ($1, 'order', 'd', 'held')`, [
    GROUP,
  ]);
  await pool.query(
    `INSERT INTO held_line (consumer_group, topic, key, attempts, next_attempt_at) VALUES ($1, 't', 'k', 1, now())`,
    [GROUP],
  );
  await pool.query(
    `INSERT INTO held_event (consumer_group, topic, key, source, id, record_topic, record_partition, record_offset, headers, appended_at)
     VALUES ($1, 't', 'k', 'order', 'd', 't', 0, 0, '{}', now())`,
    [GROUP],
  );
  await expect(migrateDown(database)).rejects.toThrow('events are held for retry; they would be lost');
  await pool.query('DELETE FROM held_event');
  await pool.query(`DELETE FROM inbox WHERE state = 'held'`);
  expect(await migrateDown(database)).toEqual(['0000-messaging-held']);
  const { rows } = await pool.query('SELECT id, state FROM inbox ORDER BY id');
  expect(rows).toEqual([
    { id: 'a', state: 'done' },
    { id: 'b', state: 'dead' },
    { id: 'c', state: 'done' },
  ]);
});
