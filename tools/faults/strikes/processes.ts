import { delay } from '@tradewind/process/backoff';
import { visited } from '../processes.ts';
import { between, oneOf, type Striker, seconds } from '../strike.ts';
import { topicsOf } from '../topics.ts';
import type { World } from '../world.ts';

/** A service's process dies without a word, and is started again by its supervisor. */
export const killProcess: Striker = ({ world }, dice) => {
  const member = oneOf(world.members, dice);
  return {
    target: member.name,
    async run(hit) {
      hit();
      member.supervisor.kill('SIGKILL');
    },
  };
};

/** Two die at once. */
export const killTwo: Striker = ({ world }, dice) => {
  const victims = dice.shuffle(world.members).slice(0, 2);
  return {
    target: victims.map(({ name }) => name).join(' and '),
    async run(hit) {
      hit();
      for (const { supervisor } of victims) supervisor.kill('SIGKILL');
    },
  };
};

/** It stands still, long enough to be taken for dead, and goes on as if nothing had been. */
export const freezeProcess: Striker = ({ world, signal }, dice) => {
  const member = oneOf(world.members, dice);
  const ms = between(500, 12_000, dice);
  return {
    target: `${member.name} for ${seconds(ms)}`,
    async run(hit) {
      hit();
      member.supervisor.kill('SIGSTOP');
      await delay(ms, signal).finally(() => member.supervisor.kill('SIGCONT'));
    },
  };
};

/** Each process of each service is ended in order and started again, one after the other. */
export const rollingRestart: Striker = ({ world }, dice) => {
  const members = dice.shuffle(world.members);
  return {
    target: `all ${members.length} processes`,
    async run(hit) {
      hit();
      for (const member of members) {
        await world.hold(member);
        await world.release(member);
      }
    },
  };
};

/** Everything dies at once, as when the machine loses its power, but for the disk's cache. */
export const blackout: Striker = ({ world }) => ({
  target: 'everything',
  async run(hit) {
    const { broker } = world.side;
    hit();
    for (const { supervisor } of world.members) supervisor.kill('SIGKILL');
    world.postgres.kill('SIGKILL');
    await broker?.kill();
    await broker?.start();
  },
});

/** Members join a group and leave it again, some of them in order and some not; each time all partitions go from hand to hand. */
export const rebalanceStorm: Striker = ({ world, signal }, dice) => {
  const service = oneOf(visited, dice);
  const joins = between(3, 7, dice);
  return {
    target: `${service}, ${joins} members come and go`,
    async run(hit) {
      hit();
      const guests = Array.from({ length: joins }, (_, n) =>
        visit(world, service, n * 400, between(200, 1_500, dice), signal),
      );
      for (const outcome of await Promise.allSettled(guests))
        if (outcome.status === 'rejected') signal.throwIfAborted();
    },
  };
};

/** Takes records and says nothing about them: whoever comes next has to handle them. */
async function visit(
  world: World,
  group: string,
  afterMs: number,
  stayMs: number,
  signal: AbortSignal,
): Promise<void> {
  await delay(afterMs, signal);
  await using consumer = await world.log.consumer({ group, topics: topicsOf(group) });
  const leaving = AbortSignal.any([signal, AbortSignal.timeout(stayMs)]);
  while (!leaving.aborted) await consumer.receive(leaving);
}

/** A real listener joins a group, works, and dies or leaves. */
export const extraListener: Striker = ({ world, signal }, dice) => {
  const service = oneOf(visited, dice);
  const dies = dice.next() < 0.5;
  const ms = between(300, 3_000, dice);
  return {
    target: `${service}, one more for ${seconds(ms)} that ${dies ? 'dies' : 'leaves'}`,
    async run(hit) {
      hit();
      await using member = await world.extra(service);
      await world.ready([member]);
      await delay(ms, signal);
      if (dies) member.supervisor.force();
    },
  };
};
