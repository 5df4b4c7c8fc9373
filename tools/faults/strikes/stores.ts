import { delay } from '@tradewind/process/backoff';
import { between, type Striker, seconds } from '../strike.ts';

/** PostgreSQL's first process dies; the others follow, and it recovers as after a crash. */
export const killPostgres: Striker = ({ world }) => ({
  target: 'postgres',
  async run(hit) {
    hit();
    world.postgres.kill('SIGKILL');
  },
});

/** One connection's process dies: PostgreSQL ends all the others too, and recovers. */
export const killBackend: Striker = ({ databases }) => ({
  target: 'postgres, one connection',
  async run(hit) {
    const [row] = await databases.order.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name <> 'faults'
       ORDER BY state IN ('active', 'idle in transaction') DESC, random() LIMIT 1`,
    );
    if (!row) throw new Error('nobody is connected to PostgreSQL');
    hit();
    process.kill(row.pid, 'SIGKILL');
  },
});

/** The server says that it ends, and every connection with it; it is started again. */
export const restartPostgres: Striker = ({ world }) => ({
  target: 'postgres',
  async run(hit) {
    hit();
    await world.postgres.stop(20_000);
    world.restarts += 1;
    await world.postgres.start();
  },
});

/** All of PostgreSQL stands still. */
export const freezePostgres: Striker = ({ databases, signal, world }, dice) => {
  const ms = between(500, 8_000, dice);
  return {
    target: `postgres for ${seconds(ms)}`,
    async run(hit) {
      const rows = await databases.order.query<{ pid: number }>('SELECT pid FROM pg_stat_activity');
      const pids = [world.postgres.pid, ...rows.map(({ pid }) => pid)].filter((pid) => pid !== undefined);
      const all = (how: NodeJS.Signals) => {
        for (const pid of pids) signalIfThere(pid, how);
      };
      hit();
      all('SIGSTOP');
      await delay(ms, signal).finally(() => all('SIGCONT'));
    },
  };
};

function signalIfThere(pid: number, how: NodeJS.Signals): void {
  try {
    process.kill(pid, how);
  } catch {
    // It ended by itself meanwhile.
  }
}

export const killBroker: Striker = ({ world: { side }, signal }, dice) => {
  const { broker } = side;
  const ms = between(0, 6_000, dice);
  return (
    broker && {
      target: `the broker, away for ${seconds(ms)}`,
      async run(hit) {
        hit();
        await broker.kill();
        await delay(ms, signal).finally(() => broker.start());
      },
    }
  );
};

export const restartBroker: Striker = ({ world: { side } }) => {
  const { broker } = side;
  return (
    broker && {
      target: 'the broker',
      async run(hit) {
        hit();
        await broker.stop();
        await broker.start();
      },
    }
  );
};

export const freezeBroker: Striker = ({ world: { side }, signal }, dice) => {
  const { broker } = side;
  const ms = between(500, 10_000, dice);
  return (
    broker && {
      target: `the broker for ${seconds(ms)}`,
      async run(hit) {
        hit();
        broker.hold();
        await delay(ms, signal).finally(() => broker.release());
      },
    }
  );
};
