import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { environmentBeside } from '../beside.ts';
import { StateFile } from '../start/state.ts';

test('a command of a service finds the start that runs here, and the environment wins', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'tradewind-beside-'));
  const of = (env: NodeJS.ProcessEnv) => environmentBeside('ratings', env, dataDir);
  try {
    expect(of({})).toEqual({});
    const { file } = StateFile.claim(dataDir, { postgres: 1001 });
    using _ = file;
    const found = {
      DATABASE_URL: 'postgres://postgres@127.0.0.1:1001/ratings',
      EVENT_LOG_URL: 'postgres://postgres@127.0.0.1:1001/log',
    };
    expect(of({})).toEqual(found);
    const mine = { DATABASE_URL: 'postgres://me@db/r' };
    expect(of(mine)).toEqual({ ...found, ...mine });
    expect(of({ APP_DATABASE_URL: 'x', EVENT_LOG_URL: 'kafka://a:1' })).toEqual({
      APP_DATABASE_URL: 'x',
      EVENT_LOG_URL: 'kafka://a:1',
    });
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
});
