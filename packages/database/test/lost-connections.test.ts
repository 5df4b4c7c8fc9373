import { openDatabase } from '@tradewind/database/database';
import { failureKind } from '@tradewind/database/failure';
import { createDatabase } from '@tradewind/testing/postgres';
import { expect, test } from 'vitest';

const SIZE = 3;

async function open() {
  const server = await createDatabase('lost');
  const database = await openDatabase({
    url: server.url,
    schema: { entities: [], steps: [] },
    name: 'test',
    poolSize: SIZE,
  });
  return {
    ...database,
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

test('transactions whose connections are lost leave no hole in the pool', async () => {
  await using database = await open();
  for (let round = 0; round < SIZE + 1; round++) {
    const lost = await Promise.allSettled(
      Array.from({ length: SIZE }, () =>
        database.transaction(async (em) => {
          await em.execute('SELECT pg_terminate_backend(pg_backend_pid())');
        }),
      ),
    );
    for (const outcome of lost)
      expect(outcome.status === 'rejected' && failureKind(outcome.reason)).toBe('away');
  }
  expect(database.pool.totalCount - database.pool.idleCount).toBe(0);
  const busy = Promise.withResolvers<void>();
  const together = Array.from({ length: SIZE }, () =>
    database.transaction(async (em) => {
      await em.execute('SELECT 1');
      await busy.promise;
    }),
  );
  await expect.poll(() => database.pool.totalCount - database.pool.idleCount).toBe(SIZE);
  busy.resolve();
  await Promise.all(together);
});

test('a connection that is given back is not given back again when it ends later', async () => {
  await using database = await open();
  await database.transaction((em) => em.execute('SELECT 1'));
  expect(database.pool.idleCount).toBe(1);
  const client = await database.pool.connect();
  await client.query('SELECT pg_terminate_backend(pg_backend_pid())').catch(() => undefined);
  await expect.poll(() => database.pool.waitingCount).toBe(0);
  client.release(true);
  await database.transaction((em) => em.execute('SELECT 1'));
  expect(database.pool.totalCount).toBe(1);
});
