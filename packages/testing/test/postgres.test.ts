import { createDatabase } from '@tradewind/testing/postgres';
import { Client } from 'pg';
import { expect, test } from 'vitest';

test('the database under test is durable: what is measured and tested is what runs', async () => {
  await using database = await createDatabase();
  const client = new Client({ connectionString: database.url });
  await client.connect();
  for (const name of ['fsync', 'full_page_writes', 'synchronous_commit']) {
    const { rows } = await client.query(`SHOW ${name}`);
    expect(rows[0]).toEqual({ [name]: 'on' });
  }
  await client.end();
});
