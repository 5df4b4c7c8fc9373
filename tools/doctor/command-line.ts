import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { duration } from '@tradewind/process/settings';
import { type Command, UsageError } from '../load/command-line.ts';

export interface DoctorOptions {
  readonly dataDir: string;
  readonly json: boolean;
  /** Further addresses to ask for /health/ready. */
  readonly health: readonly string[];
  /** How old a thing may be, in milliseconds, before it is a problem. */
  readonly pendingAfterMs: number;
  readonly outboxAfterMs: number;
  readonly lagAfterMs: number;
  readonly heldAfterMs: number;
  /** Pending orders that are traced. */
  readonly orders: number;
  /** How long anything is waited for, in milliseconds. */
  readonly patienceMs: number;
}

export const usage = `npm run doctor -- [options]
Tells in one screen what is wrong: processes, dependencies, outboxes, lag, held keys, dead letters, and orders that are PENDING for too long,
each with where its event is and who should act next. Changes nothing, waits for nothing for long, and works when anything is down.

  --pending-after TIME  an order that is PENDING for longer is a problem; 1m when left out
  --outbox-after TIME   a fact that waits in an outbox for longer; 10s
  --lag-after TIME      a record that its group has not read for longer; 10s
  --held-after TIME     a key that is in retry for longer; 1m
  --orders N            pending orders that are traced; 10
  --patience TIME       what does not answer within this is down; 2s, which makes less than 5 s in all
  --health URL          one more process to ask, such as a listen process on its HEALTH_PORT; may be given more than once
  --json                the report as one JSON object; tools/doctor/report.ts describes it
  --data DIR            the data folder of npm start, for its ports and processes; .tradewind when left out
  --help                this text

Environment: <SERVICE>_PORT (or <SERVICE>_URL), <SERVICE>_DATABASE_URL, EVENT_LOG_URL and TRADEWIND_POSTGRES_PORT as for npm start.
Exit codes: 0 all is well, 1 something is not, 2 wrong command line.`;

const flags = {
  'pending-after': { type: 'string', default: '1m' },
  'outbox-after': { type: 'string', default: '10s' },
  'lag-after': { type: 'string', default: '10s' },
  'held-after': { type: 'string', default: '1m' },
  orders: { type: 'string', default: '10' },
  patience: { type: 'string', default: '2s' },
  health: { type: 'string', multiple: true },
  json: { type: 'boolean', default: false },
  data: { type: 'string', default: '.tradewind' },
  help: { type: 'boolean', short: 'h', default: false },
} as const satisfies ParseArgsOptionsConfig;

/** Reads the command line, without the program's own name. @throws UsageError */
export function parseDoctor(argv: readonly string[]): Command<DoctorOptions> {
  const values = parse(argv);
  if (values.help) return 'help';
  const orders = Number(values.orders);
  if (!Number.isInteger(orders) || orders < 0 || orders > 1_000)
    throw new UsageError(`--orders must be a whole number from 0 to 1000, not "${values.orders}"`);
  const health = values.health ?? [];
  const wrong = health.find((url) => !/^https?:\/\/./.test(url) || !URL.canParse(url));
  if (wrong !== undefined)
    throw new UsageError(`--health must be a URL such as http://127.0.0.1:9000, not "${wrong}"`);
  const options: DoctorOptions = {
    dataDir: values.data,
    json: values.json,
    health,
    pendingAfterMs: time('pending-after', values['pending-after']),
    outboxAfterMs: time('outbox-after', values['outbox-after']),
    lagAfterMs: time('lag-after', values['lag-after']),
    heldAfterMs: time('held-after', values['held-after']),
    orders,
    patienceMs: Math.max(1, time('patience', values.patience)),
  };
  return { options, json: values.json };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: flags }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function time(flag: string, text: string): number {
  const ms = duration().parse(text);
  if (ms === undefined) throw new UsageError(`--${flag} must be ${duration().rule}, not "${text}"`);
  return ms;
}
