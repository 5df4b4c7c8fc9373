import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '@tradewind/testing/port';
import { expect, onTestFinished, test } from 'vitest';
import { startEmbeddedPostgres } from '../embedded.ts';
import { dropStaleLock } from '../stale-lock.ts';

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'tradewind-lock-'));
  onTestFinished(() => rm(made, { recursive: true, force: true }));
  await chmod(made, 0o755);
  return join(made);
}

test('a lock that names a process that is no PostgreSQL is dropped', async () => {
  const data = await folder();
  await writeFile(join(data, 'postmaster.pid'), `${process.pid}\n${data}\n`);
  await dropStaleLock(data);
  expect(existsSync(join(data, 'postmaster.pid'))).toBe(false);
  await dropStaleLock(data);
});

test('the lock of a server that runs stays; a killed one starts again at once, with what it had committed', async () => {
  const data = join(await folder(), 'postgres');
  const port = await freePort();
  const killed = await startEmbeddedPostgres({ dataDir: data, port });
  await killed.createDatabase('kept');
  await dropStaleLock(data);
  expect(await readFile(join(data, 'postmaster.pid'), 'utf8')).toContain(String(killed.process.pid));

  killed.process.kill('SIGKILL');
  // A busy machine takes its time even for that.
  await killed.exited;
  await using again = await startEmbeddedPostgres({ dataDir: data, port });
  expect(again.process.pid).not.toBe(killed.process.pid);
  await again.createDatabase('kept');
});
