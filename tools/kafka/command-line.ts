import { parseArgs } from 'node:util';
import { integer } from '@tradewind/process/settings';

/** A command line that is wrong; the message says what. */
export class UsageError extends Error {}

export interface KafkaFlags {
  readonly port: number;
  readonly dataDir: string;
  readonly heapMb: number;
  /** Settings of the broker, as in its server.properties. */
  readonly properties: Readonly<Record<string, string>>;
}

export const USAGE = `npm run kafka [-- options]: a real Apache Kafka of one node on this machine, until Ctrl-C. Needs Java 17 or newer.

  --port N        9092 when left out
  --data DIR      where its data and its log are kept; .tradewind/kafka when left out
  --heap MB       memory for Java; 512 when left out
  --set NAME=VALUE
                  a setting of the broker, as in server.properties; may be given more than once
  --help          this text

The first start gets Kafka from Maven Central (47 MB, needs Maven) into TRADEWIND_CACHE, or ~/.cache/tradewind.
`;

/** Reads the command line, without the program's own name. `help` asks for the usage text instead. */
export function parseFlags(argv: readonly string[]): KafkaFlags | 'help' {
  let values: ReturnType<typeof parse>['values'];
  try {
    ({ values } = parse(argv));
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  if (values.help) return 'help';
  const number = (flag: 'port' | 'heap', rule: ReturnType<typeof integer>) => {
    const value = rule.parse(values[flag]);
    if (value === undefined) throw new UsageError(`--${flag} must be ${rule.rule}, not "${values[flag]}"`);
    return value;
  };
  return {
    // A port that the system chooses would be another one at the next start, and clients would not find it again.
    port: number('port', { ...integer({ min: 1, max: 65_535 }), rule: 'a port, 1 to 65535' }),
    heapMb: number('heap', integer({ min: 128, max: 65_536 })),
    dataDir: values.data,
    properties: Object.fromEntries(values.set.map(assignment)),
  };
}

function parse(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    options: {
      port: { type: 'string', default: '9092' },
      data: { type: 'string', default: '.tradewind/kafka' },
      heap: { type: 'string', default: '512' },
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
