import { randomBytes } from 'node:crypto';
import { Client } from 'pg';

export interface TestDatabase extends AsyncDisposable {
  readonly url: string;
  readonly name: string;
}

/**
 * Makes a database of its own on the run's PostgreSQL; disposing it drops it, ending whoever is still connected. Prefixes that
 * TEST_TEMPLATES lists are copies of `template_<prefix>`: so a release's tests run on the schema of a later one (test/previous-release.ts).
 */
export async function createDatabase(prefix = 'test'): Promise<TestDatabase> {
  const server = process.env.TEST_POSTGRES_URL;
  if (!server)
    throw new Error(
      'TEST_POSTGRES_URL is not set: tests run under vitest, whose global setup starts PostgreSQL',
    );
  const name = `${prefix}_${randomBytes(5).toString('hex')}`;
  const templates = process.env.TEST_TEMPLATES?.split(',') ?? [];
  const template = templates.includes(prefix) ? ` TEMPLATE template_${prefix}` : '';
  await administer(server, `CREATE DATABASE ${name}${template}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    name,
    [Symbol.asyncDispose]: () => administer(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
  };
}

/** Runs one statement on the run's server, outside of any test database. */
export async function administer(server: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: server });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
