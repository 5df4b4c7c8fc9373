import { parseArgs } from 'node:util';

export const PARTS = [
  'sagas',
  'latency',
  'relay',
  'rpc',
  'log',
  'memory',
  'ready',
  'tracing',
  'ratings',
] as const;
export type Part = (typeof PARTS)[number];

export const LOGS = ['postgres', 'kafka'] as const;
export type LogName = (typeof LOGS)[number];
/** A result for each event log that was measured. */
export type PerLog<Result> = Readonly<Partial<Record<LogName, Result>>>;

export interface BenchOptions {
  readonly only: ReadonlySet<Part>;
  /** Event logs to measure on, side by side. */
  readonly logs: readonly LogName[];
  readonly rounds: number;
  readonly orders: number;
  readonly clients: number;
  readonly keys: boolean;
  readonly rates: readonly number[];
  readonly seconds: number;
  readonly json: string | undefined;
  readonly profile: string | undefined;
}

/** A command line that is wrong; the message says what. */
export class UsageError extends Error {}

export const USAGE = `npm run bench [-- options]: measures on real processes and an embedded PostgreSQL of its own, prints absolutes and ratios.

  --only PARTS      of ${PARTS.join(',')}; all when left out
  --log LOGS        of postgres,kafka, measured side by side; postgres when left out. Kafka needs Java 17 and Maven
  --rounds 5        rounds of sagas, each interleaved with the baseline; other parts take three at most
  --orders 20000    orders and commits, ratings and reads a round
  --clients 64      HTTP clients, and connections of the baseline
  --keys            gives each order an Idempotency-Key
  --rates 200,1000  orders, or ratings, a second of the parts at a fixed rate
  --seconds 15      how long each rate lasts
  --json FILE       where the results go; bench/results/<time>.json when left out
  --profile DIR     CPU profiles of the services
  --help            this text
`;

/** Reads the command line, without the program's own name. */
export function parseOptions(argv: readonly string[]): BenchOptions | 'help' {
  const values = parse(argv);
  if (values.help) return 'help';
  const only = list(values.only);
  const unknown = only.filter((name) => !PARTS.some((part) => part === name));
  if (unknown.length > 0) throw new UsageError(`--only takes ${PARTS.join(', ')}, not ${unknown.join(', ')}`);
  return {
    only: new Set(PARTS.filter((part) => only.length === 0 || only.includes(part))),
    logs: logsOf(values.log),
    rounds: whole('rounds', values.rounds),
    orders: whole('orders', values.orders),
    clients: whole('clients', values.clients),
    keys: values.keys,
    rates: list(values.rates).map((rate) => whole('rates', rate)),
    seconds: whole('seconds', values.seconds),
    json: values.json,
    profile: values.profile,
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        only: { type: 'string', default: '' },
        log: { type: 'string', default: 'postgres' },
        rounds: { type: 'string', default: '5' },
        orders: { type: 'string', default: '20000' },
        clients: { type: 'string', default: '64' },
        keys: { type: 'boolean', default: false },
        rates: { type: 'string', default: '200,1000' },
        seconds: { type: 'string', default: '15' },
        json: { type: 'string' },
        profile: { type: 'string' },
        help: { type: 'boolean', default: false, short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

const list = (text: string) => text.split(',').filter((item) => item !== '');

function logsOf(text: string): LogName[] {
  const names = list(text);
  const unknown = names.filter((name) => !LOGS.some((log) => log === name));
  if (unknown.length > 0 || names.length === 0)
    throw new UsageError(`--log takes ${LOGS.join(', ')}, not ${unknown.join(', ') || 'nothing'}`);
  return LOGS.filter((log) => names.includes(log));
}

function whole(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new UsageError(`--${name} takes whole numbers from 1 on, not ${text}`);
  return value;
}
