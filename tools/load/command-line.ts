import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { given } from '@tradewind/process/variables';
import type { AuditOptions } from './audit.ts';
import { type Addresses, defaultAddresses, defaultRatingsUrl } from './books.ts';
import { add, type Foreign, unit } from './judge-ratings.ts';
import { protocols } from './place.ts';
import { type Histogram, NONE } from './ratings-books.ts';
import type { ReplayOptions } from './replay.ts';

/** Something on the command line is wrong; the message says what. */
export class UsageError extends Error {}

type Environment = Readonly<Record<string, string | undefined>>;

const addressFlags = {
  'order-url': { type: 'string' },
  'product-url': { type: 'string' },
  'stock-url': { type: 'string' },
  'ratings-url': { type: 'string' },
  file: { type: 'string' },
  stall: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies ParseArgsOptionsConfig;

const addressUsage = `  --order-url URL     also ORDER_URL, or ORDER_PORT as for npm start; default ${defaultAddresses.orderUrl}
  --product-url URL   also PRODUCT_URL, PRODUCT_PORT; default ${defaultAddresses.productUrl}
  --stock-url URL     also STOCK_URL, STOCK_PORT; default ${defaultAddresses.stockUrl}
  --ratings-url URL   also RATINGS_URL, RATINGS_PORT; default ${defaultRatingsUrl}, and left out of the audit where nobody answers
  --file FILE         the purchases, default examples/data/cdnow-sample.txt
  --stall SECONDS     orders count as stuck when nothing settles for so long, default 60
  --json              the last line of the output is the report as one JSON object
  --help              this text`;

export const loadUsage = `npm run load -- [options]
Replays a file of purchases as orders, waits until they have settled, measures, audits. Exit code 1 when anything is wrong.

  --clients N         requests under way at once, default 64
  --rate N            orders begun each second; as many as the clients can when left out
  --protocol P        ${protocols.join(', ')}; default rest
  --repeat N          replay each row so many times, default 1
  --limit N           replay only the first N rows
  --restock SHARE     before it, make what is left of each product SHARE of what will be asked (0.9: about a tenth is cancelled)
  --ratings SHARE     ratings for each order, given by REST while orders are placed (0.1: a tenth as many), a fifth of them changed
  --run TAG           go on with a run that was interrupted, within 24 hours: nothing is ordered twice
  --patience SECONDS  how long one order is tried, default 120
  --no-audit          no audit afterwards
${addressUsage}`;

export const auditUsage = `npm run audit -- [options]
Compares orders and stock, and ratings with their counts, by public calls, once nothing is pending. Exit code 1 when anything is wrong.
Runs of \`npm run load\` are found by their tags and compared with the file.

  --run TAG           this run must be there whole; may be given more than once
  --foreign T=V       a record that others put on topic ratings: talk T (or product/1) was rated V. May be given more than once
${addressUsage}`;

export type Command<Options> = 'help' | { readonly options: Options; readonly json: boolean };

export function parseLoad(argv: readonly string[], env: Environment): Command<ReplayOptions> {
  const values = parse(argv, {
    ...addressFlags,
    clients: { type: 'string' },
    rate: { type: 'string' },
    protocol: { type: 'string' },
    repeat: { type: 'string' },
    limit: { type: 'string' },
    restock: { type: 'string' },
    ratings: { type: 'string' },
    run: { type: 'string' },
    patience: { type: 'string' },
    'no-audit': { type: 'boolean' },
  } as const);
  if (values.help) return 'help';
  const protocol = protocols.find((known) => known === (values.protocol ?? 'rest'));
  if (!protocol)
    throw new UsageError(`--protocol must be one of ${protocols.join(', ')}, not ${values.protocol}`);
  const patience = number('patience', values.patience, { min: 0 });
  const options: ReplayOptions = {
    ...shared(values, env),
    protocol,
    ...only({
      clients: number('clients', values.clients, { min: 1, max: 10_000, whole: true }),
      rate: number('rate', values.rate, { min: 0.001 }),
      repeat: number('repeat', values.repeat, { min: 1, max: 100_000, whole: true }),
      limit: number('limit', values.limit, { min: 1, whole: true }),
      restock: number('restock', values.restock, { min: 0, max: 1_000 }),
      ratings: number('ratings', values.ratings, { min: 0, max: 1_000 }),
      patienceMs: patience === undefined ? undefined : patience * 1_000,
      run: values.run,
      audit: values['no-audit'] ? false : undefined,
    }),
  };
  return { options, json: values.json ?? false };
}

export function parseAudit(argv: readonly string[], env: Environment): Command<AuditOptions> {
  const multiple = { type: 'string', multiple: true } as const;
  const values = parse(argv, { ...addressFlags, run: multiple, foreign: multiple } as const);
  if (values.help) return 'help';
  const foreign = values.foreign && foreignOf(values.foreign);
  return {
    options: { ...shared(values, env), ...only({ runs: values.run, foreign }) },
    json: values.json ?? false,
  };
}

function foreignOf(texts: readonly string[]): Foreign {
  const found = new Map<string, Histogram>();
  for (const text of texts) {
    const [, subject = '', value = ''] = /^(.+)=([1-5])$/.exec(text) ?? [];
    if (subject === '')
      throw new UsageError(`--foreign must be such as flight-of-the-gopher=5, not "${text}"`);
    const rating = unit(Number(value));
    found.set(subject, add(found.get(subject) ?? NONE, rating));
  }
  return found;
}

function parse<const T extends ParseArgsOptionsConfig>(argv: readonly string[], options: T) {
  try {
    return parseArgs({ args: [...argv], options }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

type UrlFlag = 'order-url' | 'product-url' | 'stock-url' | 'ratings-url';
type Shared = { [Name in UrlFlag | 'file' | 'stall']?: string | undefined };

function shared(values: Shared, env: Environment) {
  const stall = number('stall', values.stall, { min: 0 });
  return {
    ...addresses(values, env),
    // Whoever says where it is wants it to be asked.
    ratingsMayBeAway: values['ratings-url'] === undefined && given(env, 'RATINGS_URL') === undefined,
    ...only({ file: values.file, stallMs: stall === undefined ? undefined : stall * 1_000 }),
  };
}

function addresses(values: Shared, env: Environment): Addresses {
  const url = (flag: UrlFlag, name: string, fallback: string) => {
    const url = values[flag] ?? given(env, name) ?? fallback;
    if (!/^https?:\/\/./.test(url) || !URL.canParse(url))
      throw new UsageError(`--${flag} (${name}) must be a URL such as ${fallback}, not ${url}`);
    return url;
  };
  return {
    orderUrl: url('order-url', 'ORDER_URL', here(given(env, 'ORDER_PORT'), defaultAddresses.orderUrl)),
    productUrl: url(
      'product-url',
      'PRODUCT_URL',
      here(given(env, 'PRODUCT_PORT'), defaultAddresses.productUrl),
    ),
    stockUrl: url('stock-url', 'STOCK_URL', here(given(env, 'STOCK_PORT'), defaultAddresses.stockUrl)),
    ratingsUrl: url('ratings-url', 'RATINGS_URL', here(given(env, 'RATINGS_PORT'), defaultRatingsUrl)),
  };
}

/** Where `npm start` puts a service with the same environment. */
function here(port: string | undefined, fallback: string): string {
  return port ? `http://127.0.0.1:${port}` : fallback;
}

type Range = { readonly min: number; readonly max?: number; readonly whole?: boolean };

function number(
  flag: string,
  text: string | undefined,
  { min, max = 1e9, whole = false }: Range,
): number | undefined {
  if (text === undefined) return undefined;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (value >= min && value <= max && (!whole || Number.isInteger(value))) return value;
  throw new UsageError(
    `--${flag} must be a ${whole ? 'whole ' : ''}number from ${min} to ${max}, not "${text}"`,
  );
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** The same without what is undefined. */
function only<T extends object>(values: T): Given<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Given<T>;
}
