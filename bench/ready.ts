import { join } from 'node:path';
import { type RunContext, startOwn } from './stage.ts';
import { median } from './statistics.ts';

/** Seconds until everything is ready; medians. */
export interface Ready {
  /** From nothing: PostgreSQL's data, schemas and the catalogue are made. */
  readonly cold: number;
  /** On the data of an earlier start. */
  readonly second: number;
  readonly rounds: readonly { readonly cold: number; readonly second: number }[];
}

export async function benchReady(context: RunContext, rounds: number): Promise<Ready> {
  const done: { cold: number; second: number }[] = [];
  for (let n = 0; n < rounds; n++) {
    const dataDir = join('ready', String(n));
    const round = { cold: await timed(context, dataDir), second: await timed(context, dataDir) };
    context.say(`round ${n + 1}: cold ${round.cold.toFixed(1)} s, second ${round.second.toFixed(1)} s`);
    done.push(round);
  }
  return {
    cold: median(done.map(({ cold }) => cold)),
    second: median(done.map(({ second }) => second)),
    rounds: done,
  };
}

async function timed(context: RunContext, dataDir: string): Promise<number> {
  const began = performance.now();
  await using _running = await startOwn({ ...context, say: () => undefined, profile: undefined }, dataDir);
  return (performance.now() - began) / 1_000;
}
