import { OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { topicOf } from '@tradewind/messaging/contract';
import { delay } from '@tradewind/process/backoff';
import { between, oneOf, type Striker } from '../strike.ts';
import { groups, topicsOf } from '../topics.ts';
import type { World } from '../world.ts';

/** What was said is said again, later and in another order. */
export const repeatRecords: Striker = ({ rogue }, dice) => ({
  target: 'records of the last moments, in another order',
  async run(hit) {
    hit();
    await rogue.repeat(dice);
  },
});

/** Events of orders that nobody knows: taken back before they were told, reserved twice. */
export const unknownOrders: Striker = ({ rogue }, dice) => {
  const orders = between(1, 5, dice);
  return {
    target: `${orders} orders that nobody knows`,
    async run(hit) {
      hit();
      for (let n = 0; n < orders; n += 1) await rogue.unknownOrder(dice);
    },
  };
};

/** Ratings that somebody else tells of, in the least that a rating can be. */
export const foreignRatings: Striker = ({ rogue, expect, talks }, dice) => {
  const times = between(1, 3, dice);
  return {
    target: `${times} times six ratings from somebody else, two of which nobody can count`,
    async run(hit) {
      hit();
      for (let n = 0; n < times; n += 1)
        for (const letter of await rogue.foreignRatings(dice, talks)) expect(letter);
    },
  };
};

export const garbage: Striker = ({ rogue, expect }, dice) => {
  const pieces = between(1, 4, dice);
  const schemas = Array.from({ length: pieces }, () => oneOf([OrderCreatedSchema, RatedSchema], dice));
  return {
    target: `${pieces} records that nobody can read, on ${[...new Set(schemas.map((schema) => topicOf(schema).name))].join(' and ')}`,
    async run(hit) {
      hit();
      for (const schema of schemas) for (const letter of await rogue.garbage(schema)) expect(letter);
    },
  };
};

/** A group begins again with the oldest records that there are: yesterday's events. */
export const rewind: Striker = ({ world, signal }, dice) => {
  const group = oneOf(groups, dice);
  return {
    target: group,
    async run(hit) {
      const members = world.group(group);
      hit();
      await Promise.all(members.map((member) => world.hold(member)));
      await rewound(world, group, signal);
      await Promise.all(members.map((member) => world.release(member)));
    },
  };
};

/** Members that did not leave in order are waited for. */
async function rewound({ log }: World, group: string, signal: AbortSignal): Promise<void> {
  for (const deadline = Date.now() + 60_000; ; await delay(200, signal)) {
    try {
      return await log.rewind(group, topicsOf(group));
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}
