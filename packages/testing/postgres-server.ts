import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '@tradewind/database/embedded';
import { freePort } from './port.ts';

/**
 * vitest's global setup: one real PostgreSQL for the run, durable as in production. Its address reaches the test files as
 * TEST_POSTGRES_URL. A TEST_POSTGRES_URL from outside is used as it is.
 */
export default async function setup(): Promise<() => Promise<void>> {
  if (process.env.TEST_POSTGRES_URL) return async () => undefined;
  const dataDir = await mkdtemp(join(tmpdir(), 'tradewind-test-pg-'));
  const server = await startEmbeddedPostgres({ dataDir, port: await freePort() });
  process.env.TEST_POSTGRES_URL = server.url('postgres');
  return async () => {
    await server[Symbol.asyncDispose]();
    await rm(dataDir, { recursive: true, force: true });
  };
}
