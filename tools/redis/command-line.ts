import { parseArgs } from 'node:util';
import { integer } from '@tradewind/process/settings';

/** A command line that is wrong; the message says what. */
export class UsageError extends Error {}

export interface RedisFlags {
  readonly port: number;
  readonly dataDir: string;
  readonly persist: boolean;
  /** Settings, as in redis.conf. */
  readonly settings: Readonly<Record<string, string>>;
}

export const USAGE = `npm run redis [-- options]: a real Redis on this machine, until Ctrl-C. What it holds is in its memory alone.

  --port N        6379 when left out
  --data DIR      where its log is kept, and its data if they persist; .tradewind/redis when left out
  --persist       keeps what it holds beyond its end, in an append-only file
  --set NAME=VALUE
                  a setting, as in redis.conf; may be given more than once
  --help          this text

Needs redis-server: apt-get install redis-server (Debian, Ubuntu), or REDIS_SERVER says where one is.
`;

/** Reads the command line, without the program's own name. `help` asks for the usage text instead. */
export function parseFlags(argv: readonly string[]): RedisFlags | 'help' {
  let values: ReturnType<typeof parse>['values'];
  try {
    ({ values } = parse(argv));
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  if (values.help) return 'help';
  // A port that the system chooses would be another one at the next start, and clients would not find it again.
  const port = integer({ min: 1, max: 65_535 }).parse(values.port);
  if (port === undefined) throw new UsageError(`--port must be a port, 1 to 65535, not "${values.port}"`);
  return {
    port,
    dataDir: values.data,
    persist: values.persist,
    settings: Object.fromEntries(values.set.map(assignment)),
  };
}

function parse(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    options: {
      port: { type: 'string', default: '6379' },
      data: { type: 'string', default: '.tradewind/redis' },
      persist: { type: 'boolean', default: false },
      set: { type: 'string', multiple: true, default: [] },
      help: { type: 'boolean', default: false, short: 'h' },
    },
  });
}

function assignment(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw new UsageError(`--set takes NAME=VALUE, not "${text}"`);
  return [text.slice(0, at), text.slice(at + 1)];
}
