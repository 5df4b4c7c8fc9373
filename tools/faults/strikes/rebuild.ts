import { delay } from '@tradewind/process/backoff';
import { judgeRebuild } from '../../start/rebuild.ts';
import { between, type Striker } from '../strike.ts';

/** So many ratings come while the counts are made again. */
const RATINGS = 40;

/** The counts of ratings are made again while customers rate; half of the time whoever does it dies in the middle of it. */
export const rebuildBeside: Striker = ({ world, rate, signal }, dice) => {
  const diesAfter = dice.next() < 0.5 ? between(200, 2_500, dice) : undefined;
  const how = diesAfter === undefined ? 'to its end' : `killed after ${diesAfter} ms`;
  return {
    target: `counts of ratings, ${how}`,
    async run(hit) {
      hit();
      rate(RATINGS);
      const over = new AbortController();
      const rebuilt = await world.rebuild((process) => {
        if (diesAfter === undefined) return;
        void delay(diesAfter, AbortSignal.any([signal, over.signal])).then(
          () => process.kill('SIGKILL'),
          () => undefined,
        );
      });
      over.abort();
      if (diesAfter !== undefined && rebuilt.end === 'killed by SIGKILL') return;
      const [wrong] = judgeRebuild(rebuilt, 'while customers rate');
      if (wrong !== undefined) throw new Error(wrong);
    },
  };
};
