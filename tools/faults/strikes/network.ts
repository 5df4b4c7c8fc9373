import { delay } from '@tradewind/process/backoff';
import type { Way, Weather } from '../proxy.ts';
import { between, oneOf, type Stage, type Striker, seconds } from '../strike.ts';

/** Every way between two parts. */
function ways({ world }: Stage): Way[] {
  const fronts = [...new Set(world.members.map(({ spec }) => spec.name))].map((name) => world.front(name));
  return [
    ...fronts,
    ...world.members.flatMap(({ database, log, redis }) => [database, log, ...(redis ? [redis] : [])]),
  ];
}

function during(proxies: readonly Way[], weather: Weather, ms: number, signal: AbortSignal) {
  return async (hit: () => void) => {
    hit();
    await Promise.all(proxies.map((proxy) => proxy.set(weather)));
    try {
      await delay(ms, signal);
    } finally {
      await Promise.all(proxies.map((proxy) => proxy.set({ kind: 'pass' })));
    }
  };
}

/** A service's database refuses all its connections. */
export const refuseDatabase: Striker = ({ world, signal }, dice) => {
  const service = oneOf(['product', 'ratings', 'order', 'stock', 'order', 'stock'], dice);
  const ms = dice.next() < 0.25 ? 30_000 : between(1_000, 10_000, dice);
  const proxies = world.members.filter(({ spec }) => spec.name === service).map(({ database }) => database);
  return {
    target: `${service} ↔ database for ${seconds(ms)}`,
    run: during(proxies, { kind: 'refuse' }, ms, signal),
  };
};

/** Packets vanish: neither side is told. */
export const stall: Striker = (stage, dice) => {
  const proxy = oneOf(ways(stage), dice);
  const ms = between(500, 15_000, dice);
  return {
    target: `${proxy.name} for ${seconds(ms)}`,
    run: during([proxy], { kind: 'stall' }, ms, stage.signal),
  };
};

/** A service is cut off from its database and the log at once. */
export const isolate: Striker = (stage, dice) => {
  const { name, database, log } = oneOf(stage.world.members, dice);
  const ms = between(1_000, 12_000, dice);
  const how = oneOf(['stall', 'refuse'] as const, dice);
  return {
    target: `${name} (${how}) for ${seconds(ms)}`,
    run: during([database, log], { kind: how }, ms, stage.signal),
  };
};

/** Connections break, a few times. */
export const reset: Striker = (stage, dice) => {
  const proxy = oneOf(ways(stage), dice);
  const times = between(1, 4, dice);
  return {
    target: `${proxy.name}, ${times} times`,
    async run(hit) {
      hit();
      for (let n = 0; n < times; n += 1) {
        proxy.reset();
        await delay(between(20, 600, dice), stage.signal);
      }
    },
  };
};

export const slow: Striker = (stage, dice) => {
  const proxy = oneOf(ways(stage), dice);
  const ms = between(10, 400, dice);
  const forMs = between(1_000, 6_000, dice);
  return {
    target: `${proxy.name}, ${ms} ms and more, for ${seconds(forMs)}`,
    run: during([proxy], { kind: 'delay', ms, jitterMs: ms }, forMs, stage.signal),
  };
};

export const throttle: Striker = (stage, dice) => {
  const proxy = oneOf(ways(stage), dice);
  const bytesPerSecond = between(2_000, 100_000, dice);
  const forMs = between(1_000, 6_000, dice);
  return {
    target: `${proxy.name}, ${bytesPerSecond} bytes/s, for ${seconds(forMs)}`,
    run: during([proxy], { kind: 'throttle', bytesPerSecond }, forMs, stage.signal),
  };
};
