import { delay } from '@tradewind/process/backoff';
import { between, type Striker, seconds } from '../strike.ts';

/** It comes back empty: nothing of it is kept. */
export const killRedis: Striker = ({ world: { redis }, rate, signal }, dice) => {
  const ms = between(0, 5_000, dice);
  return (
    redis && {
      target: `Redis, away for ${seconds(ms)}`,
      async run(hit) {
        hit();
        await redis.kill();
        rate(RATINGS);
        await delay(ms, signal).finally(() => redis.start());
      },
    }
  );
};

/** Everything in it is gone, and nobody is told. */
export const flushRedis: Striker = ({ world: { redis }, rate, signal }, dice) => {
  const times = between(1, 3, dice);
  return (
    redis && {
      target: `all that Redis holds, ${times} times`,
      async run(hit) {
        hit();
        for (let n = 0; n < times; n += 1) {
          rate(RATINGS);
          await redis.flush();
          await delay(between(20, 600, dice), signal);
        }
      },
    }
  );
};

/** It keeps its connections and says nothing. */
export const freezeRedis: Striker = ({ world: { redis }, rate, signal }, dice) => {
  const ms = between(500, 8_000, dice);
  return (
    redis && {
      target: `Redis for ${seconds(ms)}`,
      async run(hit) {
        hit();
        redis.hold();
        rate(RATINGS);
        await delay(ms, signal).finally(() => redis.release());
      },
    }
  );
};

/** So many come meanwhile. */
const RATINGS = 20;
