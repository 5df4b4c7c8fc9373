import { delay } from '@tradewind/process/backoff';
import { Client, type QueryResultRow } from 'pg';

const PATIENCE_MS = 60_000;

/** Makes a database on a server where it is missing. @param url of another one there */
export async function ensureDatabase(url: string, name: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
    if (!rowCount) await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
}

/** Straight to a database, through its deaths: a statement is repeated until it is answered. So only what may be done twice. */
export class Sight implements AsyncDisposable {
  readonly #url: string;
  #client: Promise<Client> | undefined;

  constructor(url: string) {
    this.#url = url;
  }

  async query<Row extends QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    for (const deadline = Date.now() + PATIENCE_MS; ; await delay(50)) {
      try {
        return await this.once<Row>(text, values);
      } catch (error) {
        // What the statement itself did wrong stays wrong.
        if (
          Date.now() > deadline ||
          (error instanceof Error && 'code' in error && /^(42|22|23)/.test(String(error.code)))
        )
          throw error;
      }
    }
  }

  /** Not repeated. */
  async once<Row extends QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    this.#client ??= this.#connect();
    const { rows } = await (await this.#client).query<Row>(text, [...values]);
    return rows;
  }

  async #connect(): Promise<Client> {
    const client = new Client({
      connectionString: this.#url,
      connectionTimeoutMillis: 3_000,
      query_timeout: 30_000,
      application_name: 'faults',
    });
    const forget = () => {
      this.#client = undefined;
    };
    client.on('error', forget);
    client.once('end', forget);
    try {
      await client.connect();
      return client;
    } catch (error) {
      forget();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client?.then((client) => client.end()).catch(() => undefined);
  }
}
