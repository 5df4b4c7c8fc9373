import { parseArgs } from 'node:util';
import { type Command, UsageError } from '../load/command-line.ts';
import type { RollingOptions } from './run.ts';

export const rollingUsage = `npm run rolling -- [options]
Starts everything with --split and restarts every process of every service, one after the other, while clients call it by gRPC, Connect, REST
and GraphQL on connections that they keep. Exit code 1 when a single call failed, or the audit afterwards finds anything.

  --rounds N          times that each process is restarted, default 3
  --clients N         clients of each kind, default 4
  --overlap           the next process takes over the port before the last one ends (REUSE_PORT, Linux), instead of after
  --deadline SECONDS  for each call with all its repetitions, default 30
  --data DIR          where the data and the logs are kept; a folder that goes when all is well, when left out
  --json              the last line of the output is the report as one JSON object
  --help              this text`;

/** @throws UsageError */
export function parseRolling(argv: readonly string[]): Command<RollingOptions> {
  const { rounds, clients, overlap, deadline, data, json, help } = parse(argv).values;
  if (help) return 'help';
  const options: RollingOptions = {
    rounds: whole('rounds', rounds, 3),
    clients: whole('clients', clients, 4),
    overlap: overlap ?? false,
    deadlineMs: whole('deadline', deadline, 30) * 1_000,
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
        clients: { type: 'string' },
        overlap: { type: 'boolean' },
        deadline: { type: 'string' },
        data: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function whole(flag: string, text: string | undefined, fallback: number): number {
  const value = text === undefined ? fallback : Number(text);
  if (text?.trim() !== '' && Number.isInteger(value) && value >= 1 && value <= 1_000) return value;
  throw new UsageError(`--${flag} must be a whole number from 1 to 1000, not "${text}"`);
}
