import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { type Command, UsageError } from '../load/command-line.ts';
import { type LogKind, logKinds } from './event-log.ts';
import type { FaultOptions } from './run.ts';
import { kindNames } from './schedule.ts';

export const faultsUsage = `npm run faults [-- options]
Runs everything on an event log and a PostgreSQL of its own, lets customers order without end, and does one harm after another to it.
A fault counts when at least ten orders were open in its moment. After every twentieth, and at the end, everything must come to rest
with clean books, no dead letter but those that were made, and nothing unsent. Exit code 1 when it does not; then the data is kept.

  --faults N          ends after so many that counted; 200 when neither this nor --minutes is given
  --minutes N         begins no new one after so many minutes
  --seed N            the same faults in the same order as a run that printed it; others each time when left out
  --log kafka         on a real broker (the default; needs Java 17), or --log postgres
  --kinds a,b         only these: ${wrapped(kindNames)}
  --data DIR          where the data and the logs are kept, also when all is well; a folder of its own when left out
  --json              the last line of the output is the report as one JSON object
  --help              this text`;

/** @throws UsageError */
export function parseFaults(argv: readonly string[]): Command<FaultOptions> {
  const { faults, minutes, seed, log, kinds, data, json, help } = parse(argv).values;
  if (help) return 'help';
  const counted = whole('faults', faults, 1) ?? (minutes === undefined ? 200 : Number.POSITIVE_INFINITY);
  const options: FaultOptions = {
    faults: counted,
    minutes: whole('minutes', minutes, 1) ?? Number.POSITIVE_INFINITY,
    seed: whole('seed', seed, 0) ?? randomInt(2 ** 32),
    log: logOf(log),
    ...(kinds !== undefined && { kinds: kindsOf(kinds) }),
    ...(data !== undefined && { dataDir: data }),
  };
  return { options, json: json ?? false };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        faults: { type: 'string' },
        minutes: { type: 'string' },
        seed: { type: 'string' },
        log: { type: 'string', default: 'kafka' },
        kinds: { type: 'string' },
        data: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function logOf(text: string): LogKind {
  const kind = logKinds.find((name) => name === text);
  if (kind) return kind;
  throw new UsageError(`--log must be ${logKinds.join(' or ')}, not "${text}"`);
}

function kindsOf(text: string) {
  return text.split(',').map((part) => {
    const kind = kindNames.find((name) => name === part.trim());
    if (kind) return kind;
    throw new UsageError(`--kinds must be some of ${kindNames.join(', ')}, not "${part}"`);
  });
}

function whole(flag: string, text: string | undefined, least: number): number | undefined {
  if (text === undefined) return undefined;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (Number.isInteger(value) && value >= least && value < 2 ** 32) return value;
  throw new UsageError(`--${flag} must be a whole number from ${least}, not "${text}"`);
}

function wrapped(names: readonly string[]): string {
  const lines: string[][] = [];
  for (let at = 0; at < names.length; at += 9) lines.push(names.slice(at, at + 9));
  return lines.map((part) => part.join(', ')).join(',\n                      ');
}
