import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '@tradewind/database/embedded';
import { check, equal, must } from './check.ts';
import { place, settled } from './orders.ts';
import { run, type Shell, succeed } from './shell.ts';
import { type Ports, start, stateOf, stop } from './tradewind.ts';

const services = ['order', 'product', 'stock', 'ratings'] as const;

/** A PostgreSQL that the user runs: migrations by hand, and `npm start` on it. */
export async function onOwnServer(shell: Shell, ports: Ports): Promise<void> {
  const folder = join(shell.cwd, '..', 'own');
  mkdirSync(folder);
  await using server = await startEmbeddedPostgres({
    dataDir: join(folder, 'postgres'),
    port: ports.postgres + 1,
  });
  for (const name of [...services, 'log']) await server.createDatabase(name);
  for (const name of services) await migrations(shell, name, server.url(name));

  const urls = Object.fromEntries(
    services.map((name) => [`${name.toUpperCase()}_DATABASE_URL`, server.url(name)]),
  );
  const env = { ...shell.env, ...urls, EVENT_LOG_URL: server.url('log') };
  const data = join(folder, 'data');
  const started = await start({ ...shell, env }, `--data ${data}`);
  await check('with *_DATABASE_URL and EVENT_LOG_URL it uses that server, and starts none', async () => {
    must(!stateOf(shell, data).processes.some(({ name }) => name === 'postgres'), stateOf(shell, data));
    equal((await settled(shell, ports, (await place(shell, ports, 1, 1)).id)).status, 'CONFIRMED');
    must(started.text().includes(`:${ports.postgres + 1}/order`), started.text());
  });
  await check('and ends within 10 s, exit code 0', async () => {
    const { code, ms } = await stop(started);
    must(code === 0 && ms < 10_000, `exit code ${code} after ${ms} ms:\n${started.text().slice(-2_000)}`);
  });
}

async function migrations(shell: Shell, name: string, url: string): Promise<void> {
  const env = { ...shell.env, DATABASE_URL: url, EVENT_LOG_URL: url };
  const migrate = async (direction: string) =>
    (
      await succeed(
        { ...shell, env },
        `npm run --silent migrate -w services/${name}${direction && ` -- ${direction}`}`,
      )
    ).stdout;
  const count = (text: string, word: string) =>
    text.split('\n').filter((line) => line.startsWith(word)).length;
  await check(
    `services/${name}: migrate status, up, status, up again, down to nothing, status, up`,
    async () => {
      const missing = count(await migrate('status'), 'missing');
      must(missing > 0, 'nothing is missing in a new database');
      must((await migrate('')).startsWith('up:'), 'up did nothing');
      const up = await migrate('status');
      equal([count(up, 'applied'), count(up, 'missing')], [missing, 0]);
      must((await migrate('')).includes('nothing to do'), 'up again did something');
      for (let left = missing; left > 0; left -= 1)
        must((await migrate('down')).startsWith('down:'), 'down did nothing');
      equal(count(await migrate('status'), 'missing'), missing);
      await migrate('');
      equal(count(await migrate('status'), 'applied'), missing);
    },
  );
  await check(`services/${name}: migrate reset says what is lost, and with --yes does it`, async () => {
    const asked = await run({ ...shell, env }, `npm run --silent migrate -w services/${name} reset`);
    must(asked.code === 2 && asked.text.includes('destroys all data'), asked);
    must((await migrate('reset --yes')).includes('up:'), 'reset did nothing');
    must(!(await migrate('status')).includes('missing'), 'steps are missing after a reset');
  });
}
