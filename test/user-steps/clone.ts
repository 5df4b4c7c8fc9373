import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { must } from './check.ts';
import { run, type Shell, succeed } from './shell.ts';

const checkout = fileURLToPath(new URL('../..', import.meta.url));

/** A folder that another user may enter: PostgreSQL can't run as root. */
export function emptyFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tradewind-user-'));
  chmodSync(folder, 0o755);
  return folder;
}

/** `git clone` of this checkout into an empty folder. What is not committed yet is cloned from a snapshot, and said. */
export async function freshClone(folder: string, env: NodeJS.ProcessEnv): Promise<Shell> {
  const here: Shell = { cwd: checkout, env };
  const state = await run(here, 'git status --porcelain');
  const committed =
    state.code === 0 && state.text === '' && (await run(here, 'git rev-parse HEAD')).code === 0;
  const source = committed ? checkout : await snapshot(here, join(folder, 'snapshot'));
  await succeed({ cwd: folder, env }, `git clone --quiet file://${source} tradewind`);
  const cwd = join(folder, 'tradewind');
  must(existsSync(join(cwd, 'package.json')), 'a clone without package.json');
  return { cwd, env };
}

async function snapshot(here: Shell, folder: string): Promise<string> {
  process.stdout.write('  the checkout has changes that are not committed: a snapshot of it is cloned\n');
  mkdirSync(folder);
  const { stdout } = await succeed(here, 'git ls-files -z --cached --others --exclude-standard');
  for (const name of stdout.split('\0').filter((name) => name !== '' && existsSync(join(checkout, name)))) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    cpSync(join(checkout, name), join(folder, name), { verbatimSymlinks: true });
  }
  const there: Shell = { cwd: folder, env: here.env };
  await succeed(there, 'git init --quiet --initial-branch=main');
  await succeed(there, 'git add --all');
  await succeed(
    there,
    'git -c user.name=snapshot -c user.email=snapshot@invalid commit --quiet --message=snapshot',
  );
  return folder;
}
