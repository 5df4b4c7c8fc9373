import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { type Command, UsageError } from '../load/command-line.ts';
import { victims } from './plan.ts';
import type { KillOptions } from './run.ts';

const ROUNDS = 2 * victims.length;

export const killsUsage = `npm run kills -- [options]
Starts everything with --split, and kills -9 at random moments while orders are replayed: each kind of process, PostgreSQL, one of its
connections, the starter. Customers rate meanwhile. Each round must end with a clean audit, no dead letter and nothing unsent; at the end
the counts of ratings are made again from the log, and must be the same. Exit code 1 when anything is wrong; then the data and the logs
are kept.

  --rounds N          kills that hit while orders were open, or ratings; default ${ROUNDS}, each victim twice
  --orders N          orders a round, default 400
  --seed N            the same victims and moments as a run that printed it; another one each time when left out
  --victim NAME       only this one: ${victims.join(', ')}
  --data DIR          where the data and the logs are kept, also when all is well; a folder of its own when left out
  --json              the last line of the output is the report as one JSON object
  --help              this text`;

/** @throws UsageError */
export function parseKills(argv: readonly string[]): Command<KillOptions> {
  const { rounds, orders, seed, victim, data, json, help } = parse(argv).values;
  if (help) return 'help';
  if (victim !== undefined && !victims.includes(victim))
    throw new UsageError(`--victim must be one of ${victims.join(', ')}, not "${victim}"`);
  const options: KillOptions = {
    rounds: whole('rounds', rounds, 1) ?? ROUNDS,
    orders: whole('orders', orders, 1) ?? 400,
    seed: whole('seed', seed, 0) ?? randomInt(2 ** 32),
    ...(victim !== undefined && { victim }),
    ...(data !== undefined && { dataDir: data }),
  };
  return { options, json: json ?? false };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        rounds: { type: 'string' },
        orders: { type: 'string' },
        seed: { type: 'string' },
        victim: { type: 'string' },
        data: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function whole(flag: string, text: string | undefined, least: number): number | undefined {
  if (text === undefined) return undefined;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (Number.isInteger(value) && value >= least && value < 2 ** 32) return value;
  throw new UsageError(`--${flag} must be a whole number from ${least}, not "${text}"`);
}
