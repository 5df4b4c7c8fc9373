import { join } from 'node:path';
import { check, must } from './check.ts';
import { place, settled } from './orders.ts';
import { type Shell, succeed } from './shell.ts';
import { isAlive, type Ports, pidOf, type Started, start, startLine, stateOf, stop } from './tradewind.ts';

const PORT = 29_092;

/** A broker by `npm run kafka`, the system on it, and kill -9 of both. */
export async function onKafka(shell: Shell, ports: Ports): Promise<void> {
  const data = join(shell.cwd, '..', 'on-kafka');
  const folder = join(data, 'kafka');
  const kafka = () => startLine(shell, `npm run kafka -- --port ${PORT} --data ${folder}`, 300_000);
  const there = { ...shell, env: { ...shell.env, EVENT_LOG_URL: `kafka://localhost:${PORT}` } };
  let broker = await kafka();
  await check('npm run kafka: it says where it is, how to use it and how to stop it', () =>
    must(
      broker.text().includes(`EVENT_LOG_URL=kafka://localhost:${PORT} npm start`) &&
        broker.text().includes('Ctrl-C ends it'),
      broker.text(),
    ),
  );
  const brokerPid = () => stateOf(shell, folder).processes[0]?.pid ?? 0;
  await check(
    'kill -9 of the command, and it starts again: the broker that was left is ended first',
    async () => {
      const [starter, left] = [stateOf(shell, folder).starter.pid, brokerPid()];
      process.kill(starter, 'SIGKILL');
      await broker.npm.exited;
      must(isAlive(left), 'the broker went with the command: nothing was left to find');
      broker = await kafka();
      must(!isAlive(left) && broker.text().includes(`kafka (pid ${left})`), broker.text());
      process.stdout.write(`    ${/^ready.*$/m.exec(broker.text())?.[0]}\n`);
    },
  );
  const started: Started = await start(there, `--data ${data}`);
  await check('EVENT_LOG_URL=kafka://… npm start: the event log is Kafka', () =>
    must(/event log +kafka:\/\/localhost:29092 +topics, in Kafka/.test(started.text()), started.text()),
  );
  const clean = async (line: string) => {
    const { stdout } = await succeed(there, line, 300_000);
    must(/ 0 stuck/.test(stdout) && stdout.includes('all is as it must be'), stdout);
    for (const text of stdout.split('\n'))
      if (/^(accepted|settled) /.test(text)) process.stdout.write(`    ${text}\n`);
  };
  await check('npm run load -- --restock 0.9 --limit 1500, a clean audit', () =>
    clean('npm run load -- --restock 0.9 --limit 1500'),
  );
  await check('kill -9 of the order service and of the broker: all goes on, with a clean audit', async () => {
    process.kill(pidOf(shell, 'order', data), 'SIGKILL');
    process.kill(brokerPid(), 'SIGKILL');
    must((await broker.npm.exited) === 1, broker.text());
    must(/Kafka ended \(killed by SIGKILL\)/.test(broker.text()), broker.text());
    broker = await kafka();
    must((await settled(there, ports, (await place(there, ports, 1, 1)).id)).status !== 'PENDING', 'pending');
    await clean('npm run load -- --restock 0.9 --limit 300');
  });
  await check('Ctrl-C ends both, exit code 0', async () => {
    const left = brokerPid();
    const [system, server] = [await stop(started), await stop(broker)];
    must(system.code === 0 && server.code === 0, [system, server, broker.text()]);
    must(!isAlive(left), 'the broker still runs');
  });
}
