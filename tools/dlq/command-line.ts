import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { duration } from '@tradewind/process/settings';
import { type Command, UsageError } from '../load/command-line.ts';
import type { Source } from './correct.ts';
import { states } from './inboxes.ts';
import type { Filter } from './letters.ts';

/** What a command line asks for. */
export type DlqOptions = { readonly dataDir: string; readonly json: boolean; readonly filter: Filter } & (
  | { readonly command: 'list'; readonly limit: number }
  | { readonly command: 'show'; readonly raw: boolean }
  | { readonly command: 'watch' }
  | (ErrandFlags & { readonly command: 'redrive'; readonly correction?: Source })
  | (ErrandFlags & { readonly command: 'discard'; readonly because?: string; readonly yes: boolean })
);

export interface ErrandFlags {
  readonly dryRun: boolean;
  /** Records a second at most. */
  readonly rate?: number;
  /** How long to wait for news, in milliseconds; 0: not at all. */
  readonly patienceMs: number;
}

const PATIENCE_S = 30;

export const usage = `npm run dlq -- <command> [options]
Dead letters: the records that a consumer group gave up on. Works on every event log.

  list                    what there is, the newest last, and how many of each kind
  show <letter>           one with its payload, headers and why it is dead
  redrive <letter>        brings it back to the group that gave up on it, and to nobody else; or --all, or a filter
  discard <letter>        gives it up for good; or --all, or a filter
  watch                   tells of new ones until Ctrl-C

<letter> is an event's id, or topic/partition/offset: of the letter, or of the record that it was. To redrive or discard what is settled
already changes nothing.

Filters:
  --topic TOPIC           the topic where the record was, or its dead-letter topic
  --group GROUP           who gave up on it
  --reason REASON         undecodable, rejected, failed or deadly
  --since TIME            an ISO time, or how long ago: 30m, 24h, 7d
  --until TIME
  --id ID                 the same as <letter>
  --state STATE           ${states.join(', ')}

list:       --limit N     letters shown, default 100
show:       --raw         the payload alone, byte for byte
redrive:    --edit FILE   a new payload, as JSON; - is standard input. Checked against the topic's contract before it is sent
            --value JSON  the same, on the command line
discard:    --because WHY kept with it
            --yes         does not ask before it discards more than one
both:       --all         everything that is open
            --dry-run     says what would be done
            --rate N      records a second at most
            --wait S      gives up when there was no news of what was sent for so many seconds, default ${PATIENCE_S}
            --no-wait     does not wait for what becomes of it

  --json                  the answer as JSON: the last line of the output; watch prints one object a line
  --data DIR              the data folder of npm start, for its ports; .tradewind when left out
  --help                  this text

Environment: EVENT_LOG_URL, <SERVICE>_DATABASE_URL and TRADEWIND_POSTGRES_PORT as for npm start. The databases are only read, to tell how
each letter stands; all changes go through the log.
Exit codes: 0 done, 1 something failed or is not as it was asked to be, 2 wrong command line, 130 interrupted.`;

const flags = {
  topic: { type: 'string' },
  group: { type: 'string' },
  reason: { type: 'string' },
  since: { type: 'string' },
  until: { type: 'string' },
  id: { type: 'string' },
  state: { type: 'string' },
  json: { type: 'boolean', default: false },
  data: { type: 'string', default: '.tradewind' },
  help: { type: 'boolean', short: 'h', default: false },
  limit: { type: 'string' },
  raw: { type: 'boolean' },
  edit: { type: 'string' },
  value: { type: 'string' },
  because: { type: 'string' },
  yes: { type: 'boolean' },
  all: { type: 'boolean' },
  'dry-run': { type: 'boolean' },
  rate: { type: 'string' },
  wait: { type: 'string' },
  'no-wait': { type: 'boolean' },
} as const satisfies ParseArgsOptionsConfig;

const ERRAND = ['all', 'dry-run', 'rate', 'wait', 'no-wait'];
const OWN: Readonly<Record<string, readonly string[]>> = {
  list: ['limit'],
  show: ['raw'],
  redrive: [...ERRAND, 'edit', 'value'],
  discard: [...ERRAND, 'because', 'yes'],
  watch: [],
};

type Values = ReturnType<typeof parse>['values'];

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], allowPositionals: true, options: flags });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** Reads the command line, without the program's own name. @throws UsageError */
export function parseDlq(argv: readonly string[], now = new Date()): Command<DlqOptions> {
  const { values, positionals } = parse(argv);
  if (values.help) return 'help';
  const [command = '', ref, ...rest] = positionals;
  const own = Object.hasOwn(OWN, command) ? OWN[command] : undefined;
  if (!own) throw new UsageError(command ? `there is no command "${command}"` : 'a command is missing');
  if (rest.length > 0) throw new UsageError(`one letter at a time, not "${positionals.slice(1).join(' ')}"`);
  const strange = Object.keys(values).find(
    (name) => !own.includes(name) && Object.values(OWN).some((names) => names.includes(name)),
  );
  if (strange !== undefined) throw new UsageError(`${command} does not know --${strange}`);
  const base = { dataDir: values.data, json: values.json, filter: filterOf(values, ref, now) };
  return { options: { ...base, ...commandOf(command, values, base.filter) }, json: values.json };
}

type Specific<T> = T extends unknown ? Omit<T, 'dataDir' | 'json' | 'filter'> : never;

function commandOf(command: string, values: Values, filter: Filter): Specific<DlqOptions> {
  switch (command) {
    case 'show':
      if (filter.ref === undefined) throw new UsageError('which letter? show takes an id or a place');
      return { command, raw: values.raw ?? false };
    case 'watch':
      return { command };
    case 'redrive': {
      const { value, edit: file } = values;
      if (value !== undefined && file !== undefined)
        throw new UsageError('--edit and --value exclude each other');
      const corrects = value !== undefined || file !== undefined;
      if (corrects && filter.ref === undefined)
        throw new UsageError('a new payload is for one letter: name it by its id or place');
      return {
        command,
        ...errandOf(values, filter),
        ...(value !== undefined && { correction: { value } }),
        ...(file !== undefined && { correction: { file } }),
      };
    }
    case 'discard': {
      const because = values.because === undefined ? {} : { because: values.because };
      return { command, ...errandOf(values, filter), ...because, yes: values.yes ?? false };
    }
    default:
      return { command: 'list', limit: number('limit', values.limit, { min: 1, fallback: 100 }) };
  }
}

function errandOf(values: Values, filter: Filter): ErrandFlags {
  const chosen = Object.values(filter).some((value) => value !== undefined);
  if (!chosen && !values.all) throw new UsageError('which letters? Name one, give a filter, or --all');
  if (filter.ref !== undefined && values.all) throw new UsageError('one letter or --all, not both');
  if (values['no-wait'] && values.wait !== undefined)
    throw new UsageError('--wait and --no-wait exclude each other');
  const patience = number('wait', values.wait, { min: 0, fallback: PATIENCE_S });
  return {
    dryRun: values['dry-run'] ?? false,
    ...(values.rate !== undefined && { rate: number('rate', values.rate, { min: 0.01, fallback: 0 }) }),
    patienceMs: values['no-wait'] ? 0 : patience * 1_000,
  };
}

function filterOf(values: Values, positional: string | undefined, now: Date): Filter {
  if (positional !== undefined && values.id !== undefined && positional !== values.id)
    throw new UsageError('<letter> and --id name two letters');
  const ref = positional ?? values.id;
  const state = states.find((known) => known === values.state);
  if (values.state !== undefined && !state)
    throw new UsageError(`--state must be one of ${states.join(', ')}, not "${values.state}"`);
  const { topic, group, reason } = values;
  const since = time('since', values.since, now);
  const until = time('until', values.until, now);
  return {
    ...(ref !== undefined && { ref }),
    ...(topic !== undefined && { topic }),
    ...(group !== undefined && { group }),
    ...(reason !== undefined && { reason }),
    ...(since && { since }),
    ...(until && { until }),
    ...(state && { state }),
  };
}

function time(flag: string, text: string | undefined, now: Date): Date | undefined {
  if (text === undefined) return undefined;
  const ago = /[a-z]$/.test(text) ? duration().parse(text) : undefined;
  if (ago !== undefined) return new Date(now.getTime() - ago);
  const at = new Date(text);
  if (/^\d{4}-/.test(text) && !Number.isNaN(at.getTime())) return at;
  throw new UsageError(
    `--${flag} must be a time such as 2026-01-31T12:00Z, or how long ago such as 24h, not "${text}"`,
  );
}

function number(
  flag: string,
  text: string | undefined,
  { min, fallback }: { min: number; fallback: number },
) {
  if (text === undefined) return fallback;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (value >= min && value <= 1e9) return value;
  throw new UsageError(`--${flag} must be a number from ${min} up, not "${text}"`);
}
