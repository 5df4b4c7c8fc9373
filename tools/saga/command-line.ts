import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { given } from '@tradewind/process/variables';
import { defaultAddresses } from '../load/books.ts';
import { type Command, UsageError } from '../load/command-line.ts';

export interface SagaOptions {
  readonly id: string;
  /** Of the order service. */
  readonly url: string;
  /** Where traces are looked at. */
  readonly tracesUrl: string;
  readonly json: boolean;
  /** Draws again each second until it is settled. */
  readonly watch: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

export const sagaUsage = `npm run saga -- <order id> [options]
Draws an order's whole way: each event, when, how long, in which service; where it stands, what is awaited and from whom, how late it is; its dead
letters and its trace. It works also while stock or the event log is away, and says what could not be asked.

  --url URL      of the order service; also ORDER_URL, or ORDER_PORT as for npm start; ${defaultAddresses.orderUrl} when left out
  --traces URL   of Jaeger, for the link to the trace; also JAEGER_URL; http://localhost:16686 when left out
  --watch        draw it again each second until it is settled
  --json         the last line is the saga as one JSON object, as GET /api/v1/orders/{id}/saga gives it
  --help         this text

Exit codes: 0 settled or on its way, 1 stuck: late, given up on or lost; 2 wrong command line; 3 there is no such order, or nobody could be asked;
130 interrupted.`;

const flags = {
  url: { type: 'string' },
  traces: { type: 'string' },
  watch: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const satisfies ParseArgsOptionsConfig;

/** Reads the command line, without the program's own name. @throws UsageError */
export function parseSaga(argv: readonly string[], env: Environment): Command<SagaOptions> {
  const { values, positionals } = parse(argv);
  if (values.help) return 'help';
  const [id, ...more] = positionals;
  if (id === undefined) throw new UsageError('the order id is missing');
  if (more.length > 0) throw new UsageError(`one order at a time; what is "${more.join(' ')}"?`);
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id))
    throw new UsageError(`the order id must be a UUID, not "${id}"`);
  const port = given(env, 'ORDER_PORT');
  const here = port === undefined ? defaultAddresses.orderUrl : `http://127.0.0.1:${port}`;
  const { json, watch } = values;
  const options = {
    id,
    url: address('--url (ORDER_URL, ORDER_PORT)', values.url ?? given(env, 'ORDER_URL') ?? here),
    tracesUrl: address(
      '--traces (JAEGER_URL)',
      values.traces ?? given(env, 'JAEGER_URL') ?? 'http://localhost:16686',
    ),
    json,
    watch,
  };
  return { options, json };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: flags, allowPositionals: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function address(name: string, given: string): string {
  if (!/^https?:\/\/./.test(given) || !URL.canParse(given))
    throw new UsageError(`${name} must be a URL such as ${defaultAddresses.orderUrl}, not ${given}`);
  return given.replace(/\/+$/, '');
}
