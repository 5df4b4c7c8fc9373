import { delay } from '@tradewind/process/backoff';
import { between, oneOf, type Striker } from '../strike.ts';
import { topicsOf } from '../topics.ts';
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

export const garbage: Striker = ({ rogue, expect }, dice) => {
  const pieces = between(1, 4, dice);
  return {
    target: `${pieces} records that nobody can read`,
    async run(hit) {
      hit();
      for (let n = 0; n < pieces; n += 1) expect(await rogue.garbage());
    },
  };
};

/** A group begins again with the oldest records that there are: yesterday's events. */
export const rewind: Striker = ({ world, signal }, dice) => {
  const group = oneOf(['order', 'stock'], dice);
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
