// Runs the services' and the saga's tests of the release before this one on today's schema: while a new release is rolled out, the old code works
// on the migrated databases. Where no older release is tagged it says so, and counts nothing. PREVIOUS_RELEASE names another tag.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDatabase } from '@tradewind/database/database';
import { startEmbeddedPostgres } from '@tradewind/database/embedded';
import { migrateUp } from '@tradewind/database/migrate';
import { freePort } from '@tradewind/testing/port';
import { administer } from '@tradewind/testing/postgres';
import { service as order } from '../services/order/service.ts';
import { service as product } from '../services/product/service.ts';
import { service as ratings } from '../services/ratings/service.ts';
import { service as stock } from '../services/stock/service.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const services = [order, product, ratings, stock];
const git = (...args: string[]) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
const inOrder = (a: string, b: string) => a.localeCompare(b, 'en', { numeric: true });

/** The newest tag that this commit comes from and that is older than its version. */
async function previousRelease(): Promise<string | undefined> {
  if (process.env.PREVIOUS_RELEASE) return process.env.PREVIOUS_RELEASE;
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  const tags = git('tag', '--list', 'v*', '--merged', 'HEAD').split('\n').filter(Boolean);
  return tags
    .filter((tag) => inOrder(tag, `v${version}`) < 0)
    .toSorted(inOrder)
    .at(-1);
}

/** Today's schema of every service, as a database to copy. */
async function migrateTemplates(url: (database: string) => string): Promise<void> {
  for (const { name, schema } of services) {
    const template = `template_${name}`;
    await administer(url('postgres'), `CREATE DATABASE ${template}`);
    await using database = await openDatabase({ url: url(template), schema, name });
    await migrateUp(database);
  }
  // A release that would make its own schema instead fails here, rather than pass without having been on today's.
  await administer(url('template1'), 'CREATE TABLE outbox (made_by_nobody int)');
}

async function run(tag: string, folder: string): Promise<number> {
  const checkout = join(folder, 'release');
  git('clone', '--quiet', '--shared', root, checkout);
  const there = { cwd: checkout, stdio: 'inherit' } as const;
  execFileSync('git', ['checkout', '--quiet', tag], there);
  execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], there);
  await using server = await startEmbeddedPostgres({
    dataDir: join(folder, 'postgres'),
    port: await freePort(),
  });
  await migrateTemplates(server.url);
  const env = {
    ...process.env,
    TEST_POSTGRES_URL: server.url('postgres'),
    TEST_TEMPLATES: services.map(({ name }) => name).join(','),
  };
  // The way back is tested with the steps of one release; a later one has more.
  const args = [
    'vitest',
    'run',
    'services',
    'test/saga.test.ts',
    '--exclude',
    '**/schema.test.ts',
    '--no-file-parallelism',
  ];
  return spawnSync('npx', args, { ...there, env }).status ?? 1;
}

const tag = await previousRelease();
if (tag === undefined) {
  process.stdout.write(
    'no older release is tagged here, so none was run on this schema: nothing is proven\n0 passed, 0 failed, 0 skipped\n',
  );
} else {
  const folder = await mkdtemp(join(tmpdir(), 'tradewind-release-'));
  try {
    const failed = (await run(tag, folder)) === 0 ? 0 : 1;
    process.stdout.write(`the code of ${tag} on this schema: ${failed ? 'FAILED' : 'its tests pass'}\n`);
    process.stdout.write(`${1 - failed} passed, ${failed} failed, 0 skipped\n`);
    process.exitCode = failed;
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
